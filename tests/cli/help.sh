mldyno
mldyno --version
