use super::*;

async fn sandbox() -> BwrapSandbox {
    match BwrapSandbox::open().await {
        Ok(sandbox) => sandbox,
        Err(refusal) => panic!("{} {}", refusal.why, refusal.fix),
    }
}

fn job(dir: &Path, script: &str) -> Job {
    Job::new(["sh", "-c", script].map(str::to_owned).to_vec(), dir.to_owned())
}

#[tokio::test]
async fn the_workspace_is_the_only_thing_that_changes() {
    let (sandbox, dir) = (sandbox().await, tempfile::tempdir().unwrap());
    let secret = tempfile::NamedTempFile::new().unwrap();
    let script = format!(
        "echo made > made; cat {0} 2>&1; echo x > {0}; ls /root /home 2>&1; cat /etc/shadow 2>&1; id -u",
        secret.path().display()
    );
    let ran = sandbox.run(&job(dir.path(), &script)).await.unwrap();
    assert_eq!(std::fs::read_to_string(dir.path().join("made")).unwrap(), "made\n");
    assert_eq!(std::fs::read_to_string(secret.path()).unwrap(), "");
    assert!(ran.output.matches("No such file").count() >= 3, "{}", ran.output);
}

#[tokio::test]
async fn there_is_no_network() {
    let (sandbox, dir) = (sandbox().await, tempfile::tempdir().unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("python3 -c \"import socket; socket.create_connection(('127.0.0.1', {port}), 2)\"");
    let ran = sandbox.run(&job(dir.path(), &script)).await.unwrap();
    assert_eq!(ran.exit_status, Some(1), "{}", ran.output);
    assert!(ran.output.contains("refused") || ran.output.contains("unreachable"), "{}", ran.output);
}

#[tokio::test]
async fn time_is_bounded_and_nothing_survives() {
    let (sandbox, dir) = (sandbox().await, tempfile::tempdir().unwrap());
    let script =
        "echo begun; (setsid sh -c 'while true; do echo x >> alive; done' &) ; while true; do :; done";
    let ran = sandbox.run(&Job { time_ms_max: 500, ..job(dir.path(), script) }).await.unwrap();
    assert!(ran.timed_out && ran.exit_status.is_none() && ran.output.starts_with("begun"), "{ran:?}");
    // The pipe was held by every process inside; that its reader ended says that none is left.
}

#[tokio::test]
async fn output_files_and_processes_are_bounded() {
    let (sandbox, dir) = (sandbox().await, tempfile::tempdir().unwrap());
    let bounded = Job { output_bytes_max: 1000, ..job(dir.path(), "seq 1 100000; exit 3") };
    let ran = sandbox.run(&bounded).await.unwrap();
    assert_eq!(ran.exit_status, Some(3));
    assert!(ran.output.len() < 1200 && ran.output.starts_with("1\n2\n") && ran.output.ends_with("100000\n"));
    let big = Job { file_bytes_max: 1 << 20, ..job(dir.path(), "head -c 3000000 /dev/zero > big; exit 0") };
    sandbox.run(&big).await.unwrap();
    assert!(std::fs::metadata(dir.path().join("big")).unwrap().len() <= 1 << 20);
}

#[tokio::test]
async fn nothing_of_the_environment_is_inside() {
    let (sandbox, dir) = (sandbox().await, tempfile::tempdir().unwrap());
    let ran = sandbox.run(&job(dir.path(), "env | cut -d= -f1 | sort | tr '\\n' ' '")).await.unwrap();
    assert_eq!(ran.output.trim(), "HOME LANG NO_COLOR PATH PWD PYTHONDONTWRITEBYTECODE PYTHONHASHSEED TZ");
}

#[tokio::test]
async fn the_languages_are_there() {
    let (sandbox, dir) = (sandbox().await, tempfile::tempdir().unwrap());
    assert!(sandbox.has("python3") && !sandbox.has("no-such-program"));
    let ran = sandbox
        .run(&job(dir.path(), "python3 --version && node --version && cargo --version"))
        .await
        .unwrap();
    assert_eq!(ran.exit_status, Some(0), "{}", ran.output);
}
