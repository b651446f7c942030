//! A command that runs: started behind its shim, looked at while it goes on, and ended with everything it started.

use std::io::{PipeReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use edvac_memory::verdict::{Limit, Resources};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

use super::output::Bounded;
use super::shim::{self, Walls};
use super::watch::{Watch, dirs};
use super::{Job, Names, Outcome, SandboxError, limits, proc, space};

/// Bytes read from a command's pipe at once.
const READ_BYTES: usize = 64 << 10;
/// Until the shim says that it holds.
const READY_MAX: Duration = Duration::from_secs(10);
/// Until everything that was killed is gone.
const GONE_MAX: Duration = Duration::from_mins(1);
const GONE_PAUSE: Duration = Duration::from_micros(100);

/// Who keeps a job's processes together, and with whom they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeper {
    /// The first process of a namespace, which is the only child of the process that is started.
    Namespace,
    /// The process that is started, which ends them all when nobody speaks with it any more.
    Itself,
}

/// Why a command has no outcome.
#[derive(Debug)]
pub(super) enum Failed {
    /// The shim was not even begun; what was said instead.
    NotBegun(String),
    /// The shim found that something does not hold.
    NotHeld(String),
    /// The machine failed.
    Io(std::io::Error),
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<rustix::io::Errno> for Failed {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

impl From<Failed> for SandboxError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::NotBegun(why) | Failed::NotHeld(why) => Self(why),
            Failed::Io(error) => Self(error.to_string()),
        }
    }
}

/// Runs a command that becomes the shim. When this returns, or its future is dropped, everything it started is ended;
/// where it is dropped, a moment later.
pub(super) async fn run(
    command: Command,
    walls: &Walls,
    keeper: Keeper,
    job: &Job,
    names: Names,
) -> Result<Outcome, Failed> {
    let line = serde_json::to_string(walls).map_err(std::io::Error::from)?;
    let ended = Arc::new(End::default());
    let guard = Guard(ended.clone());
    let (done, outcome) = tokio::sync::oneshot::channel();
    let job = job.clone();
    // Threads of its own: a pool that is full must not keep a job from being watched.
    std::thread::Builder::new().name("sandbox".to_owned()).spawn(move || {
        let ran = hold(command, &line, keeper, &job, names, &ended);
        let _ = done.send(ran);
    })?;
    let ran = outcome.await.unwrap_or_else(|_| Err(std::io::Error::other("its thread ended").into()));
    drop(guard);
    ran
}

/// How a job is ended early. Whoever asks first is heard, also before there is anything to end.
#[derive(Default)]
struct End {
    asked: AtomicBool,
    by: Mutex<Vec<By>>,
}

enum By {
    Killing(OwnedFd),
    HangingUp(UnixStream),
}

impl End {
    fn now(&self) {
        self.asked.store(true, Ordering::SeqCst);
        for by in self.by.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // It may have ended by itself.
            let _ = match by {
                By::Killing(process) => pidfd_send_signal(process, Signal::KILL).map_err(Into::into),
                By::HangingUp(socket) => socket.shutdown(Shutdown::Both),
            };
        }
    }

    fn add(&self, by: By) {
        self.by.lock().unwrap_or_else(PoisonError::into_inner).push(by);
        if self.asked.load(Ordering::SeqCst) {
            self.now();
        }
    }
}

/// Ends the job when nobody waits for it any more.
struct Guard(Arc<End>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.now();
    }
}

fn hold(
    mut command: Command,
    walls: &str,
    keeper: Keeper,
    job: &Job,
    names: Names,
    end: &End,
) -> Result<Outcome, Failed> {
    let begun = Instant::now();
    let taken_before = space::taken(dirs(job), u64::MAX);
    let (reader, writer) = std::io::pipe()?;
    let (mut ours, theirs) = UnixStream::pair()?;
    command.stdin(OwnedFd::from(theirs)).stdout(writer.try_clone()?).stderr(writer);
    let child = command.spawn()?;
    // It still holds the pipe's writing end, without which the reader would see no end.
    drop(command);
    let started = pid(child.id().cast_signed())?;
    if keeper == Keeper::Namespace {
        end.add(By::Killing(pidfd_open(started, PidfdFlags::empty())?));
    } else {
        end.add(By::HangingUp(ours.try_clone()?));
    }
    std::thread::scope(|scope| {
        let printed = scope.spawn(|| read(reader, job, end));
        let said = begin(&mut ours, walls, keeper, started, end);
        let (root, said) = match said {
            Ok(root) => (root, Ok(())),
            Err(why) => {
                end.now();
                (started, Err(why))
            }
        };
        // It says what became of a service; that can be more than fits between two processes.
        let told = (keeper == Keeper::Namespace).then(|| scope.spawn(move || rest(ours)));
        let (over, watched) = mpsc::channel();
        let watch = Watch::new(job, root.as_raw_nonzero().get(), taken_before);
        let watching = scope.spawn(move || {
            let (limit, used) = watch.until(&watched);
            if limit.is_some() {
                end.now();
            }
            (limit, used)
        });
        let ended = wait(child, started, keeper, root);
        drop(over);
        let (mut limit, used) = watching.join().unwrap_or_default();
        let told = told.and_then(|told| told.join().ok()).unwrap_or_default();
        let (text, output_bytes) = printed.join().unwrap_or_default();
        let (status, cpu_ms) = ended?;
        if let Err(why) = said {
            return Err(match why {
                Said::Nothing => Failed::NotBegun(text.trim().to_owned()),
                Said::No => Failed::NotHeld(text.trim().to_owned()),
                Said::Failed(error) => Failed::Io(error),
            });
        }
        if output_bytes > job.output_bytes_hard_max {
            limit = Some(Limit::Output);
        }
        let resources = Resources { cpu_ms: used.cpu_ms.max(cpu_ms), output_bytes, ..used };
        let status = status.filter(|_| limit.is_none());
        limit = limit.or_else(|| limits::named(job, status, &text, &resources));
        let duration_ms = begun.elapsed().as_millis() as u64;
        let served = serde_json::from_slice(&told).ok();
        let output = names.inside(&text);
        Ok(Outcome { exit_status: status, limit, served, output, duration_ms, resources, names })
    })
}

/// What the shim has to say besides.
fn rest(mut ours: UnixStream) -> Vec<u8> {
    let mut told = Vec::new();
    if ours.set_read_timeout(None).is_ok() {
        // What was heard before a fault is no answer, and is not taken for one.
        let _ = ours.read_to_end(&mut told);
    }
    told
}

/// What the shim said instead of that it holds.
enum Said {
    Nothing,
    No,
    Failed(std::io::Error),
}

impl From<std::io::Error> for Said {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset, TimedOut, WouldBlock};
        match error.kind() {
            BrokenPipe | ConnectionReset | TimedOut | WouldBlock => Self::Nothing,
            _ => Self::Failed(error),
        }
    }
}

/// Tells the shim what is allowed, hears that it holds, finds who keeps the job together, and lets it begin.
fn begin(ours: &mut UnixStream, walls: &str, keeper: Keeper, started: Pid, end: &End) -> Result<Pid, Said> {
    ours.set_read_timeout(Some(READY_MAX))?;
    ours.write_all(format!("{walls}\n").as_bytes())?;
    let mut word = [0; shim::READY.len()];
    let mut heard = 0;
    while heard < word.len() {
        match ours.read(&mut word[heard..])? {
            0 => return Err(Said::Nothing),
            read => heard += read,
        }
    }
    if word != *shim::READY {
        return Err(Said::No);
    }
    let root = match keeper {
        Keeper::Itself => started,
        Keeper::Namespace => {
            let children = proc::children(started.as_raw_nonzero().get());
            let [first] = children.as_slice() else { return Err(Said::Nothing) };
            let first = pid(*first)?;
            let by = pidfd_open(first, PidfdFlags::empty()).map_err(std::io::Error::from)?;
            end.add(By::Killing(by));
            first
        }
    };
    ours.write_all(shim::GO)?;
    Ok(root)
}

fn pid(raw: i32) -> std::io::Result<Pid> {
    Pid::from_raw(raw).ok_or_else(|| std::io::Error::other("a process without an id"))
}

/// The exit status, and the processor time of all; then nothing of it is left.
fn wait(mut child: Child, started: Pid, keeper: Keeper, root: Pid) -> std::io::Result<(Option<i32>, u64)> {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(started), look) {}
    let used = |pid: Pid| proc::process(pid.as_raw_nonzero().get()).map_or(0, |p| p.cpu_ms);
    let mut cpu_ms = used(started).max(used(root));
    let status = child.wait()?;
    if keeper == Keeper::Namespace && root != started {
        // bubblewrap ends as soon as the command has. The namespace's first process dies with it, and is no more than
        // a zombie only when all others in there are gone.
        let raw = root.as_raw_nonzero().get();
        let patience = Instant::now() + GONE_MAX;
        while let Some(first) = proc::process(raw).filter(|p| !p.ended) {
            cpu_ms = cpu_ms.max(first.cpu_ms);
            if Instant::now() > patience {
                return Err(std::io::Error::other("what was killed does not end"));
            }
            std::thread::sleep(GONE_PAUSE);
        }
    }
    Ok((status.code(), cpu_ms))
}

/// Reads what is printed until the last process that could print has ended. More than the hard maximum ends the job.
fn read(mut reader: PipeReader, job: &Job, end: &End) -> (String, u64) {
    let (mut kept, mut bytes) = (Bounded::new(job.output_bytes_max), 0);
    let mut buffer = vec![0; READ_BYTES];
    while let Ok(read @ 1..) = reader.read(&mut buffer) {
        let was = bytes;
        bytes += read as u64;
        if bytes <= job.output_bytes_hard_max {
            kept.push(&buffer[..read]);
        } else if was <= job.output_bytes_hard_max {
            end.now();
        }
    }
    (kept.text(), bytes)
}
