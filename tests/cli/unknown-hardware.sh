mldyno bench --model bert --hardware cpuu
