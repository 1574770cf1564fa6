mldyno bench --model brt --hardware cpu
