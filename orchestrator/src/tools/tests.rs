use std::path::PathBuf;

use serde_json::json;
use tokio::sync::watch;

use super::*;

/// The server of the examples, which Cargo builds beside these tests.
fn program() -> String {
    let tests = std::env::current_exe().unwrap();
    let built = tests.parent().and_then(Path::parent).unwrap();
    built.join("examples").join("tool_server").display().to_string()
}

struct Place {
    dir: tempfile::TempDir,
    cancel: (watch::Sender<bool>, Cancel),
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), cancel: watch::channel(false) }
    }

    fn counted(&self) -> PathBuf {
        self.dir.path().join("counted")
    }

    fn config(&self) -> ToolServerConfig {
        let args = vec![self.counted().display().to_string()];
        ToolServerConfig { command: program(), args, ..ToolServerConfig::default() }
    }

    async fn open(&self, config: ToolServerConfig) -> Result<Toolbox, ToolError> {
        Toolbox::open(&BTreeMap::from([("shelf".to_owned(), config)]), self.dir.path()).await
    }

    async fn call(&self, toolbox: &Toolbox, tool: &str, text: &str) -> ToolAnswer {
        let arguments = json!({ "text": text });
        toolbox.call(tool, arguments.as_object().unwrap(), &self.cancel.1).await
    }

    fn lines(&self) -> usize {
        std::fs::read_to_string(self.counted()).map_or(0, |text| text.lines().count())
    }
}

fn said(text: &str) -> ToolAnswer {
    ToolAnswer { text: text.to_owned(), failed: false }
}

#[tokio::test]
async fn tools_are_found_and_called() {
    let place = Place::new();
    let toolbox = place.open(place.config()).await.unwrap();
    let names: Vec<_> = toolbox.specs().iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    let echo = toolbox.specs().iter().find(|spec| spec.name == "shelf.echo").unwrap();
    assert_eq!(
        (echo.about.as_str(), echo.arguments().as_str()),
        ("Says the same again.", r#"{"text": string}"#)
    );
    assert_eq!(place.call(&toolbox, "shelf.echo", "hi\nthere").await, said("hi\nthere"));
    assert_eq!(place.call(&toolbox, "shelf.count", "a").await, said("1 lines"));
    assert_eq!(place.call(&toolbox, "shelf.count", "a").await, said("2 lines"));
    assert!(toolbox.is_repeatable("shelf.echo") && !toolbox.is_repeatable("shelf.count"));
    toolbox.close().await;
}

#[tokio::test]
async fn what_goes_wrong_is_an_answer() {
    let place = Place::new();
    let toolbox = place.open(ToolServerConfig { timeout_s: 1, ..place.config() }).await.unwrap();
    for (tool, expected) in [
        ("shelf.fail", "the shelf is locked"),
        ("shelf.sleep", "there was no answer within 1 seconds; whether it did what was asked is not known"),
        ("shelf.nothing", "there is no tool \"shelf.nothing\". There are: shelf."),
        ("nothing", "there is no tool \"nothing\""),
        ("other.echo", "there is no tool"),
    ] {
        let answer = place.call(&toolbox, tool, "x").await;
        assert!(answer.failed && answer.text.starts_with(expected), "{tool}: {answer:?}");
    }
    // Arguments that the server does not take.
    let answer = toolbox.call("shelf.echo", &Map::new(), &place.cancel.1).await;
    assert!(answer.failed && answer.text.contains("text"), "{answer:?}");
    toolbox.close().await;
}

#[tokio::test]
async fn a_server_that_dies_is_started_again_and_no_call_is_made_twice() {
    let place = Place::new();
    let toolbox = place.open(place.config()).await.unwrap();
    let answer = place.call(&toolbox, "shelf.die", "once").await;
    assert!(
        answer.failed && answer.text.contains("whether it did what was asked is not known"),
        "{answer:?}"
    );
    assert_eq!(place.lines(), 1);
    assert_eq!(place.call(&toolbox, "shelf.echo", "again").await, said("again"));
    assert_eq!(place.lines(), 1);
    toolbox.close().await;
}

#[tokio::test]
async fn a_server_gets_no_variable_that_is_not_named() {
    let place = Place::new();
    let picture = "(image/png, 6 bytes, not shown)\n";
    let toolbox = place.open(place.config()).await.unwrap();
    let seen = place.call(&toolbox, "shelf.picture", "").await;
    assert_eq!(seen, said(&format!("{picture}no secret")));
    toolbox.close().await;
    let env = BTreeMap::from([("EDVAC_TEST_SECRET".to_owned(), "told".to_owned())]);
    let toolbox = place.open(ToolServerConfig { env, ..place.config() }).await.unwrap();
    assert_eq!(place.call(&toolbox, "shelf.picture", "").await, said(&format!("{picture}told")));
    toolbox.close().await;
}

#[tokio::test]
async fn a_name_that_is_none_is_left_out() {
    let place = Place::new();
    let mut config = place.config();
    config.args.push("names".into());
    let toolbox = place.open(config).await.unwrap();
    assert_eq!(toolbox.specs().len(), 6, "{:?}", toolbox.specs());
    toolbox.close().await;
}

#[tokio::test]
async fn a_server_that_does_not_end_is_ended() {
    let place = Place::new();
    let mut config = place.config();
    config.args.push("stays".into());
    let toolbox = place.open(config).await.unwrap();
    let id: i32 = std::fs::read_to_string(place.counted()).unwrap().parse().unwrap();
    let process = rustix::process::Pid::from_raw(id).unwrap();
    assert!(rustix::process::test_kill_process(process).is_ok());
    toolbox.close().await;
    assert!(rustix::process::test_kill_process(process).is_err(), "it is still there");
}

#[tokio::test]
async fn a_call_ends_when_the_run_is_cancelled() {
    let place = Place::new();
    let toolbox = place.open(place.config()).await.unwrap();
    place.cancel.0.send_replace(true);
    assert_eq!(place.call(&toolbox, "shelf.sleep", "").await, ToolAnswer::failed("the run was cancelled"));
    toolbox.close().await;
}

#[tokio::test]
async fn servers_that_are_not_there_are_said_with_what_to_do() {
    let place = Place::new();
    let with = |change: fn(&mut ToolServerConfig)| {
        let mut config = place.config();
        change(&mut config);
        config
    };
    for (config, why, fix) in [
        (with(|c| "no-such-program".clone_into(&mut c.command)), "cannot be started", "remove mcp.shelf"),
        // It prints nothing that the protocol knows, and ends.
        (with(|c| "true".clone_into(&mut c.command)), "does not answer", "shelf.log"),
        (with(|c| c.tools = vec!["echo".into(), "nothing".into()]), "no tool \"nothing\"", "it has: "),
        (
            with(|c| c.pass_env = vec!["EDVAC_TEST_NOT_SET".into()]),
            "pass_env names",
            "export EDVAC_TEST_NOT_SET",
        ),
        (with(|c| c.args.push("pages".into())), "its list begins again and again", "remove mcp.shelf"),
        (
            ToolServerConfig { url: "http://127.0.0.1:1/mcp".into(), ..ToolServerConfig::default() },
            "does not answer",
            "See whether http://127.0.0.1:1/mcp is running",
        ),
    ] {
        let Err(error) = place.open(config).await else { panic!("{why}") };
        assert!(error.to_string().contains(why) && error.fix.contains(fix), "{error} {}", error.fix);
    }
    let toolbox = place.open(with(|c| c.tools = vec!["echo".into()])).await.unwrap();
    assert_eq!(toolbox.specs().len(), 1);
    toolbox.close().await;
}
