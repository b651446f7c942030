//! Every limit is held by every level, soon enough, and under its name.

use edvac_memory::verdict::Limit;

use super::*;

/// Beyond its limit a job may live this long, and in tests as long again to be looked at.
const LATE: Duration = Duration::from_secs(2);
/// Where the limit is no time, what a flood needs to reach it is not the sandbox's.
const FLOOD: Duration = Duration::from_mins(1);

/// Runs a job on both levels, which must end for a limit in some time.
async fn stopped(job_in: impl Fn(&Path) -> Job, limit: Limit, within: Duration) {
    for sandbox in both().await {
        let dir = tempfile::tempdir().unwrap();
        let begun = Instant::now();
        let ran = sandbox.run(&job_in(dir.path())).await.unwrap();
        assert_eq!(ran.limit, Some(limit), "{:?} {ran:?}", sandbox.level());
        assert!(begun.elapsed() < within + LATE, "{:?}", begun.elapsed());
        // The machine is well: the next one runs.
        let next = sandbox.run(&job(dir.path(), "echo well")).await.unwrap();
        assert_eq!((next.exit_status, next.limit, next.output.as_str()), (Some(0), None, "well\n"));
    }
}

#[tokio::test]
async fn time() {
    let script =
        "echo begun; (setsid sh -c 'while true; do echo x >> alive; done' &) ; while true; do :; done";
    let timed = |dir: &Path| Job { time_ms_max: 500, ..job(dir, script) };
    stopped(timed, Limit::WallTime, Duration::from_millis(500)).await;
    for sandbox in both().await {
        let dir = tempfile::tempdir().unwrap();
        let ran = sandbox.run(&timed(dir.path())).await.unwrap();
        assert!(ran.exit_status.is_none() && ran.output.starts_with("begun"), "{ran:?}");
    }
}

#[tokio::test]
async fn processor_time_of_all_together() {
    // Each of them has used little, and what has ended counts.
    let script = "while :; do for n in 1 2 3 4; do sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done' & done; wait; done";
    stopped(|dir| Job { cpu_ms_max: 700, ..job(dir, script) }, Limit::CpuTime, FLOOD).await;
}

#[tokio::test]
async fn memory_of_one_process() {
    let script = "import os\nheld = []\nwhile True: held.append(os.urandom(1 << 20))";
    stopped(|dir| Job { memory_bytes_max: 192 << 20, ..python(dir, script) }, Limit::Memory, FLOOD).await;
    let at_once = "bytearray(1 << 30)";
    stopped(|dir| Job { memory_bytes_max: 192 << 20, ..python(dir, at_once) }, Limit::Memory, FLOOD).await;
    for sandbox in both().await {
        let dir = tempfile::tempdir().unwrap();
        let ran = sandbox.run(&python(dir.path(), at_once)).await.unwrap();
        assert_eq!(ran.exit_status, Some(0), "{ran:?}");
    }
}

#[tokio::test]
async fn memory_of_many_processes() {
    let script = "import os, time\nfor n in range(8):\n    if os.fork() == 0:\n        held = os.urandom(48 << 20)\n        time.sleep(60)\ntime.sleep(60)";
    stopped(|dir| Job { memory_bytes_max: 192 << 20, ..python(dir, script) }, Limit::Memory, FLOOD).await;
}

/// What several processes share is there once.
#[tokio::test]
async fn shared_memory_counts_once() {
    let script = "import os, time\nheld = os.urandom(64 << 20)\nread, write = os.pipe()\nfor n in range(8):\n    if os.fork() == 0:\n        os.write(write, b'x')\n        time.sleep(60)\nfor n in range(8): os.read(read, 1)\ntime.sleep(0.5)";
    for sandbox in both().await {
        let dir = tempfile::tempdir().unwrap();
        let ran =
            sandbox.run(&Job { memory_bytes_max: 256 << 20, ..python(dir.path(), script) }).await.unwrap();
        assert_eq!((ran.exit_status, ran.limit), (Some(0), None), "{ran:?}");
        assert!(ran.resources.memory_bytes >= 64 << 20 && ran.resources.processes >= 9, "{ran:?}");
    }
}

#[tokio::test]
#[ignore = "as root it can have the machine's last process for a moment: scripts/test runs it alone"]
async fn a_fork_bomb() {
    let bomb = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass";
    stopped(|dir| Job { processes_max: 40, ..python(dir, bomb) }, Limit::Processes, FLOOD).await;
    stopped(
        |dir| Job { processes_max: 40, ..job(dir, "b() { b | b & }; while :; do b; done") },
        Limit::Processes,
        FLOOD,
    )
    .await;
    let threads = "import threading, time\nfor n in range(500): threading.Thread(target=time.sleep, args=(60,)).start()";
    stopped(|dir| Job { processes_max: 40, ..python(dir, threads) }, Limit::Processes, FLOOD).await;
}

#[tokio::test]
async fn one_large_file() {
    let bounded = |dir: &Path, script: &str| Job { file_bytes_max: 1 << 20, ..job(dir, script) };
    for script in ["head -c 3000000 /dev/zero > big", "truncate -s 2G sparse"] {
        stopped(|dir| bounded(dir, script), Limit::FileSize, FLOOD).await;
    }
    let script = "open('big', 'wb').write(bytes(2 << 20))";
    stopped(|dir| Job { file_bytes_max: 1 << 20, ..python(dir, script) }, Limit::FileSize, FLOOD).await;
    for sandbox in both().await {
        let dir = tempfile::tempdir().unwrap();
        sandbox.run(&bounded(dir.path(), "head -c 3000000 /dev/zero > big")).await.unwrap();
        assert!(std::fs::metadata(dir.path().join("big")).unwrap().len() <= 1 << 20);
    }
}

#[tokio::test]
async fn a_flood_of_files() {
    let bounded = |dir: &Path, script: &str| Job { disk_bytes_max: 32 << 20, ..python(dir, script) };
    let files = "n = 0\nwhile True:\n    n += 1\n    open(f'{n}', 'wb').write(bytes(4096))";
    stopped(|dir| bounded(dir, files), Limit::DiskSpace, FLOOD).await;
    let empty = "import os\nn = 0\nwhile True:\n    n += 1\n    os.close(os.open(f'{n}', os.O_CREAT))";
    stopped(|dir| bounded(dir, empty), Limit::DiskSpace, FLOOD).await;
    // In no directory any more, or deeper than anyone looks.
    let unlinked = "import os\nheld = []\nwhile True:\n    f = open('f', 'wb')\n    os.unlink('f')\n    f.write(bytes(4 << 20))\n    f.flush()\n    held.append(f)";
    let deep = "import os\nfor n in range(60):\n    os.mkdir('d')\n    os.chdir('d')\nn = 0\nwhile True:\n    n += 1\n    open(f'{n}', 'wb').write(bytes(1 << 20))";
    // Where the temporary directory is memory, only the machine's own bound is left for these.
    if !is_memory(&std::env::temp_dir()) {
        stopped(|dir| bounded(dir, unlinked), Limit::DiskSpace, FLOOD).await;
        stopped(|dir| bounded(dir, deep), Limit::DiskSpace, FLOOD).await;
    }
}

fn is_memory(dir: &Path) -> bool {
    const TMPFS_MAGIC: i64 = 0x0102_1994;
    rustix::fs::statfs(dir).is_ok_and(|s| s.f_type == TMPFS_MAGIC)
}

/// Neither of the places that are memory can take up the machine's.
#[tokio::test]
async fn memory_that_looks_like_files() {
    let (sandbox, dir) = (apart().await, tempfile::tempdir().unwrap());
    for place in ["/tmp", "/dev/shm"] {
        let script = format!("for n in $(seq 100); do head -c 32m /dev/zero > {place}/$n || exit 3; done");
        let ran = sandbox.run(&job(dir.path(), &script)).await.unwrap();
        assert_eq!((ran.exit_status, ran.limit), (Some(3), Some(Limit::DiskSpace)), "{ran:?}");
    }
}

#[tokio::test]
async fn a_flood_of_output() {
    for binary in [false, true] {
        let source = if binary { "/dev/urandom" } else { "/dev/zero" };
        let script = format!("head -c 1G {source}");
        stopped(|dir| Job { output_bytes_hard_max: 8 << 20, ..job(dir, &script) }, Limit::Output, FLOOD)
            .await;
    }
    for sandbox in both().await {
        let dir = tempfile::tempdir().unwrap();
        let bounded = Job { output_bytes_max: 1000, ..job(dir.path(), "seq 1 100000; exit 3") };
        let ran = sandbox.run(&bounded).await.unwrap();
        assert_eq!((ran.exit_status, ran.limit), (Some(3), None));
        assert!(
            ran.output.len() < 1200 && ran.output.starts_with("1\n2\n") && ran.output.ends_with("100000\n")
        );
        assert_eq!(ran.resources.output_bytes, 588_895);
    }
}

/// Prints what a command costs, in turns; not held to anything.
#[tokio::test]
#[ignore = "says how long things take"]
async fn how_much_it_costs() {
    const ROUNDS: usize = 200;
    let (sandboxes, dir) = (both().await, tempfile::tempdir().unwrap());
    let mut took = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        assert!(std::process::Command::new("true").status().unwrap().success());
        took[0].push(begun.elapsed());
        for (sandbox, took) in sandboxes.iter().zip(&mut took[1..]) {
            let begun = Instant::now();
            let ran = sandbox.run(&Job::new(vec!["true".to_owned()], dir.path().to_owned())).await.unwrap();
            took.push(begun.elapsed());
            assert_eq!(ran.exit_status, Some(0));
        }
    }
    for (name, mut all) in ["bare", "apart", "behind"].into_iter().zip(took) {
        all.sort();
        println!("{name}: {:?}", all[ROUNDS / 2]);
    }
}
