# a library that is not there is told, with what mends it
code=0
MLDYNO_ORT=/nowhere/libonnxruntime.so mldyno bench --model bert --layers 1 --seq 8 \
    --hardware cpu --batch-sizes 1 --no-store || code=$?
echo "$code"
MLDYNO_ORT=/nowhere/libonnxruntime.so mldyno hardware --format csv
