# the first word of commands of two lists them; by itself it is no command
mldyno db --help
mldyno help db
code=0
mldyno db || code=$?
echo "$code"
