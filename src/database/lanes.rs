//! The two threads that work on the file, each with a connection of its own: one writes, one reads what takes long.
//!
//! They are threads rather than tasks because SQLite blocks. A job is a function that gets the connection; callers
//! await its answer. A caller that goes away doesn't take back its job.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use super::error::DatabaseError;
use super::limits::JOBS_MAX;
use super::lock::FolderLock;
use super::open::{self, Opened};
use crate::threads;

type Work = Box<dyn FnOnce(Result<&mut Connection, DatabaseError>) + Send>;

enum Job {
    Work(Work),
    /// The last job there is; the answer comes when the connection is closed.
    End(oneshot::Sender<()>),
}

/// Where jobs for one of the threads go in.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    jobs: mpsc::Sender<Job>,
    /// The thread that writes has it, until the file is closed.
    lock: Weak<FolderLock>,
}

impl Lane {
    /// Does `work` on the lane's thread. Waits while the queue is full.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let (answer, answered) = oneshot::channel();
        let lock = Weak::clone(&self.lock);
        let work = move |connection: Result<&mut Connection, DatabaseError>| {
            let result = connection.and_then(|connection| guarded(connection, work));
            if result.as_ref().is_err_and(DatabaseError::is_damage)
                && let Some(lock) = lock.upgrade()
            {
                lock.mark_suspect();
            }
            // Nobody waits for it any more: so be it.
            let _ = answer.send(result);
        };
        self.jobs.send(Job::Work(Box::new(work))).await.map_err(|_| DatabaseError::Closed)?;
        answered.await.unwrap_or(Err(DatabaseError::Closed))
    }

    /// How many jobs wait.
    pub(super) fn queued(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }

    /// Ends the thread after the jobs that are queued already.
    pub(super) async fn end(&self) {
        let (answer, answered) = oneshot::channel();
        if self.jobs.send(Job::End(answer)).await.is_ok() {
            // It may have ended for somebody else who asked first.
            let _ = answered.await;
        }
    }
}

/// A panic fails its job and nothing else: the transaction it was in is rolled back as the panic passes through.
fn guarded<T>(
    connection: &mut Connection,
    work: impl FnOnce(&mut Connection) -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    catch_unwind(AssertUnwindSafe(|| work(connection))).unwrap_or_else(|_| {
        error!("a job of the database panicked");
        Err(DatabaseError::Panicked)
    })
}

/// Starts both threads; gives the lane that writes and the one that reads.
pub(super) fn start(opened: Opened) -> std::io::Result<(Lane, Lane)> {
    let Opened { path, writer, lock } = opened;
    let lock = Arc::new(lock);
    let lane = || {
        let (jobs, queue) = mpsc::channel(JOBS_MAX);
        (Lane { jobs, lock: Arc::downgrade(&lock) }, queue)
    };
    let (reading, read_jobs) = lane();
    let (writing, write_jobs) = lane();
    let reader = spawn("database-read", move || read(&path, read_jobs))?;
    spawn("database", move || write(writer, write_jobs, reader, lock))?;
    Ok((writing, reading))
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    let body = || {
        threads::take_turns();
        body();
    };
    thread::Builder::new().name(name.to_owned()).spawn(body)
}

/// Works off jobs until there is none left to come; gives whom to tell.
fn work_off(mut jobs: mpsc::Receiver<Job>, mut work: impl FnMut(Work)) -> Option<oneshot::Sender<()>> {
    loop {
        match jobs.blocking_recv()? {
            Job::Work(job) => work(job),
            Job::End(answer) => return Some(answer),
        }
    }
}

fn write(
    mut connection: Connection,
    jobs: mpsc::Receiver<Job>,
    reader: JoinHandle<()>,
    lock: Arc<FolderLock>,
) {
    let answer = work_off(jobs, |job| job(Ok(&mut connection)));
    // The connection that closes last moves the log into the file, which the reader's can't.
    if reader.join().is_err() {
        error!("the thread that reads the database panicked");
    }
    match connection.close() {
        Ok(()) => lock.mark_clean(),
        Err((_, error)) => warn!(%error, "the database can't be closed; it is checked at the next start"),
    }
    drop(lock);
    tell(answer);
}

fn read(path: &Path, jobs: mpsc::Receiver<Job>) {
    // Opened when it is first needed: many daemons never look at their history.
    let mut connection = None;
    let answer = work_off(jobs, |job| {
        if connection.is_none() {
            match open::open_reader(path) {
                Ok(opened) => connection = Some(opened),
                Err(error) => return job(Err(error)),
            }
        }
        let Some(opened) = &mut connection else { return };
        job(Ok(opened));
        // An export has gone through many pages that nobody will look at again soon.
        let _ = opened.pragma_update(None, "shrink_memory", 0);
    });
    drop(connection);
    tell(answer);
}

fn tell(answer: Option<oneshot::Sender<()>>) {
    if let Some(answer) = answer {
        // Whoever asked may have gone.
        let _ = answer.send(());
    }
}
