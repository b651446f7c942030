use super::*;
use crate::client::scripted::ScriptedClient;
use crate::testing::{at_once, never, request};

const SCRIPT: &str =
    "model = \"m\"\n[[reply]]\nwhen = [\"one\"]\ntext = \"1 \\u00e9\\n\"\n[[reply]]\ntext = \"other\"\n";

fn record(path: &Path) -> RecordingClient {
    RecordingClient::create(Arc::new(ScriptedClient::parse(SCRIPT).unwrap()), path).unwrap()
}

#[tokio::test]
async fn what_was_recorded_is_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cassette.jsonl");
    let recorder = record(&path);
    let one = recorder.complete(&request("one"), &|_| (), never()).await.unwrap();
    let two = recorder.complete(&request("two"), &|_| (), never()).await.unwrap();
    let counted = recorder.count_tokens("some text");
    assert_eq!(recorder.count_tokens("some text"), counted);
    drop(recorder);

    let player = ReplayingClient::open(&path).unwrap();
    assert_eq!((player.info().model.as_str(), player.info().provider.as_str()), ("m", "scripted"));
    assert_eq!(player.count_tokens("some text"), counted);
    for _ in 0..2 {
        assert_eq!(player.complete(&request("two"), &|_| (), never()).await.unwrap(), two);
        assert_eq!(player.complete(&request("one"), &|_| (), never()).await.unwrap(), one);
    }
    let unknown = player.complete(&request("three"), &|_| (), never()).await.unwrap_err().to_string();
    assert!(unknown.contains("no reply to request"), "{unknown}");
    assert!(matches!(player.complete(&request("one"), &|_| (), at_once()).await, Err(ModelError::Cancelled)));
}

#[tokio::test]
async fn the_same_request_may_have_several_replies() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cassette.jsonl");
    let recorder = record(&path);
    let mut reply = recorder.complete(&request("one"), &|_| (), never()).await.unwrap();
    drop(recorder);
    "again".clone_into(&mut reply.text);
    let line = Line::Reply { request: digest(&request("one")), reply };
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    writeln!(file, "{}", serde_json::to_string(&line).unwrap()).unwrap();
    // A process died while writing this one.
    write!(file, "{{\"line\":\"rep").unwrap();

    let player = ReplayingClient::open(&path).unwrap();
    let mut said = Vec::new();
    for _ in 0..3 {
        said.push(player.complete(&request("one"), &|_| (), never()).await.unwrap().text);
    }
    assert_eq!(said, ["1 é\n", "again", "again"]);
}

#[test]
fn what_is_no_cassette_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.jsonl");
    for (text, words) in [
        ("", "no first line"),
        ("{\"line\":\"count\",\"text\":\"a\",\"tokens\":1}\n", "no first line"),
        ("nonsense\nmore\n", "line 1"),
        (
            "{\"line\":\"cassette\",\"format\":9,\"info\":{\"provider\":\"\",\"model\":\"\",\"window_tokens\":1,\"grammar\":false}}\n",
            "format 9",
        ),
    ] {
        std::fs::write(&path, text).unwrap();
        let why = ReplayingClient::open(&path).err().unwrap().to_string();
        assert!(why.contains(words) && why.contains("x.jsonl"), "{why}");
    }
    assert!(
        RecordingClient::create(Arc::new(ScriptedClient::parse(SCRIPT).unwrap()), &path).is_err(),
        "never overwritten"
    );
}
