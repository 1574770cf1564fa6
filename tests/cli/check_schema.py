#!/usr/bin/env python3
"""check_schema.py SCHEMA.json < document: validates the document (draft-07), prints what
is wrong. Exit 77 where the jsonschema module is missing."""
import json, os, sys
try:
    import jsonschema
except ImportError:
    # the module of Debian's package belongs to Debian's own python3
    if os.path.realpath(sys.executable) != os.path.realpath("/usr/bin/python3") and \
            os.path.exists("/usr/bin/python3"):
        os.execv("/usr/bin/python3", ["/usr/bin/python3"] + sys.argv)
    print("# SKIP python3 has no jsonschema module: install python3-jsonschema")
    sys.exit(77)
schema = json.load(open(sys.argv[1]))
document = json.load(sys.stdin)
jsonschema.Draft7Validator.check_schema(schema)
errors = sorted(jsonschema.Draft7Validator(schema).iter_errors(document), key=str)
for e in errors[:10]:
    print("%s: %s" % ("/".join(map(str, e.absolute_path)) or "(top)", e.message[:200]))
print("valid, %d %s" % (len(document), "rows" if isinstance(document, list) else "keys") if not errors else "%d errors" % len(errors))
sys.exit(1 if errors else 0)
