# a worker that is fed without end stops reading at its limit and says so in an event
for feed in /dev/zero /dev/urandom; do
    code=0
    timeout 60 mldyno --worker < "$feed" 3> events || code=$?
    echo "$code"
    grep -a -o '"message":"[^"]*"' events
done
