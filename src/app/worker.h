/* worker.h: the worker process, for the program's main. */
#ifndef MLD_APP_WORKER_H
#define MLD_APP_WORKER_H

/* Runs one case that is read from stdin (`mldyno --worker`); the exit code. */
int mld_app_worker(void);

#endif
