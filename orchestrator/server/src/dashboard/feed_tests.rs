//! Everybody who listens hears everything, once and in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use axum::http::header::AUTHORIZATION;
use edvac_agents::client::Delta;
use edvac_memory::ids::InstructionId;
use edvac_memory::journal::{Journal as _, Options, SqliteJournal};
use edvac_orchestrator::control::Purpose;
use edvac_orchestrator::live::LiveWriter;
use edvac_orchestrator::notice::{Notice, Notices};
use eventsource_stream::Eventsource as _;
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::testing::{Board, asked, board};
use crate::testing::{TOKEN, send};

const LISTENERS: usize = 32;
const RECORDS: usize = 40;
const TOKENS: usize = 400;
/// Longer than any machine takes; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_mins(2);

/// What one listener heard until the sentence `until` was in the log.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    /// Records, in the order in which they came.
    seqs: Vec<u64>,
    /// Replies, as they were put together.
    replies: BTreeMap<String, String>,
    /// Names of parts that came.
    parts: Vec<String>,
}

async fn hear(server: axum::Router, address: String, until: String) -> Heard {
    let bearer = format!("Bearer {TOKEN}");
    let response = send(&server, asked(Method::GET, &address, &[(AUTHORIZATION, &bearer)], "")).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut events = response.into_body().into_data_stream().eventsource();
    let mut heard = Heard::default();
    let listening = async {
        while let Some(event) = events.next().await {
            let event = event.unwrap();
            let data: Value = serde_json::from_str(&event.data).unwrap();
            match event.event.as_str() {
                "record" => {
                    assert_eq!(event.id, data["seq"].to_string(), "the id goes on from here");
                    heard.seqs.push(data["seq"].as_u64().unwrap());
                    if data["words"].as_str().unwrap().contains(&until) {
                        return;
                    }
                }
                "live" if data["gone"] == true => {}
                "live" => {
                    let reply = heard.replies.entry(data["of"].as_str().unwrap().to_owned()).or_default();
                    if data["whole"] == true {
                        reply.clear();
                    }
                    reply.push_str(data["text"].as_str().unwrap());
                }
                "part" => heard.parts.push(data["name"].as_str().unwrap().to_owned()),
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, listening).await.expect("the last record comes");
    heard
}

fn events(board: &Board, after: u64) -> String {
    format!("/api/runs/{}/events?after={after}", board.run)
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_listeners_hear_every_record_and_every_token_in_order() {
    let board = board().await;
    let dir = board.desk.find(&board.run).unwrap();
    let journal = SqliteJournal::open(&dir.path, Options::default()).await.unwrap();
    let before = dir.state().await.unwrap().seq;
    let listeners: Vec<_> = (0..LISTENERS)
        .map(|_| tokio::spawn(hear(board.server.clone(), events(&board, before), "the last word".to_owned())))
        .collect();
    let notices = Notices::default();
    let writer = tokio::spawn(LiveWriter::new(dir.live_file()).follow(notices.watch()));
    let purpose = Purpose::Work { instruction: InstructionId(2), attempt: 1, restart: 0 };
    let mut text = String::new();
    for token in 1..=TOKENS {
        let piece = format!("word{token} ");
        text.push_str(&piece);
        notices.send(Notice::Delta(purpose, Delta::Text { text: piece, tokens: token }));
        if token % (TOKENS / RECORDS) == 0 {
            let why = if token == TOKENS { "the last word" } else { "a word" };
            // The reply has to be heard before the run is over.
            if token == TOKENS {
                let said = || std::fs::read_to_string(dir.live_file()).unwrap_or_default();
                tokio::time::timeout(PATIENCE, async {
                    while !said().contains(&format!("word{TOKENS} ")) {
                        tokio::task::yield_now().await;
                    }
                })
                .await
                .unwrap();
            }
            let program = dir.state().await.unwrap().program.unwrap();
            let event =
                json!({ "event": "amended", "program": program, "version": token, "why": why, "stale": [] });
            journal.fact(event).await.unwrap();
        }
    }
    let mut all = Vec::new();
    for listener in listeners {
        all.push(listener.await.unwrap());
    }
    let last = dir.state().await.unwrap().seq;
    for heard in &all {
        assert_eq!(heard.seqs, ((before + 1)..=last).collect::<Vec<_>>());
    }
    // A reply and a record of one look at the run come in that order or the other; what was heard of it is never torn.
    for heard in &all {
        assert!(text.starts_with(heard.replies.get("i2/a1/r0").map_or("", String::as_str)));
    }
    drop((notices, journal));
    writer.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_later_is_told_what_was_missed() {
    let board = board().await;
    let dir = board.desk.find(&board.run).unwrap();
    let last = dir.state().await.unwrap().seq;
    let all = hear(board.server.clone(), events(&board, 0), "over; all met".to_owned()).await;
    assert_eq!(*all.seqs.last().unwrap(), last);
    let half = all.seqs[all.seqs.len() / 2];
    let rest = hear(board.server.clone(), events(&board, half), "over; all met".to_owned()).await;
    assert_eq!(rest.seqs, all.seqs[all.seqs.len() / 2 + 1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_with_the_server() {
    let board = board().await;
    let bearer = format!("Bearer {TOKEN}");
    let asked = asked(Method::GET, &events(&board, 0), &[(AUTHORIZATION, &bearer)], "");
    let mut body = send(&board.server, asked).await.into_body().into_data_stream();
    assert!(body.next().await.is_some());
    let desk = Arc::clone(&board.desk);
    desk.stop().await;
    let rest = async { while body.next().await.is_some() {} };
    tokio::time::timeout(PATIENCE, rest).await.expect("the stream ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_before_the_first_record_hears_it() {
    let board = board().await;
    let dir = board.desk.find(&board.run).unwrap();
    // A run that has a journal and nothing in it yet.
    let young = dir.path.with_file_name("young");
    let journal = SqliteJournal::open(&young, Options::default()).await.unwrap();
    let address = "/api/runs/young/events?after=0".to_owned();
    let feed = board.desk.feed(&board.desk.find("young").unwrap()).await.unwrap();
    let listener = tokio::spawn(hear(board.server.clone(), address, "over; all met".to_owned()));
    tokio::time::timeout(PATIENCE, async {
        while !feed.has_listeners() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    for (record, event) in dir.history().await.unwrap() {
        match (event, &record.key) {
            (Some(_), None) => drop(journal.fact(record.body).await.unwrap()),
            (Some(_), Some(key)) => drop(journal.result(key, record.body).await.unwrap()),
            (None, Some(key)) => drop(journal.intent(key, record.body).await.unwrap()),
            (None, None) => unreachable!("facts have events"),
        }
    }
    let all: Vec<_> = dir.history().await.unwrap().into_iter().filter(|(_, event)| event.is_some()).collect();
    assert_eq!(listener.await.unwrap().seqs, all.iter().map(|(record, _)| record.seq).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_part_is_sent_where_what_it_shows_changed_and_not_with_every_record() {
    let board = board().await;
    let dir = board.desk.find(&board.run).unwrap();
    let feed = board.desk.feed(&dir).await.unwrap();
    let journal = SqliteJournal::open(&dir.path, Options::default()).await.unwrap();
    let state = dir.state().await.unwrap();
    let (program, version) = (state.program.unwrap(), state.program_version);
    let same = json!({ "event": "amended", "program": program, "version": version, "why": "", "stale": [] });
    // The first says that the run goes on, and that a process has it.
    journal.fact(same.clone()).await.unwrap();
    let before = feed.render_now().await;
    for _ in 0..RECORDS {
        journal.fact(same.clone()).await.unwrap();
        let mut now = feed.render_now().await;
        // How long was worked is shown there, and is another time with every record.
        now.remove("meters");
        now.remove("timeline");
        assert!(now.iter().all(|(name, since)| before[name] == *since), "{before:?} {now:?}");
        assert!(["head", "requirements", "step-1", "step-2"].iter().all(|name| now.contains_key(*name)));
    }
    // One that changes a title changes what shows it.
    let mut other = same;
    other["program"]["title"] = "other notes".into();
    let changed = journal.fact(other).await.unwrap().seq;
    let now = feed.render_now().await;
    assert_eq!((now["head"], now["step-1"]), (changed, before["step-1"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_removed_while_it_is_watched_is_called_gone() {
    let board = board().await;
    let dir = board.desk.find(&board.run).unwrap();
    let bearer = format!("Bearer {TOKEN}");
    let asked = asked(Method::GET, &events(&board, 0), &[(AUTHORIZATION, &bearer)], "");
    let mut heard = send(&board.server, asked).await.into_body().into_data_stream().eventsource();
    let mut head = String::new();
    let listening = async {
        while let Some(event) = heard.next().await {
            let event = event.unwrap();
            match event.event.as_str() {
                "caught-up" => std::fs::remove_dir_all(&dir.path).unwrap(),
                "part" if event.data.contains("\"head\"") => head = event.data,
                "gone" => break,
                _ => {}
            }
        }
        // The stream ends by itself.
        while heard.next().await.is_some() {}
    };
    tokio::time::timeout(PATIENCE, listening).await.expect("it is said, and the stream ends");
    assert!(head.contains("gone") && head.contains("was removed while you watched it"), "{head}");
}
