mldyno bensh --model bert
