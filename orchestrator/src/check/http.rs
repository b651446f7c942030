//! Does a service answer as it should?

use edvac_memory::program::Request;
use edvac_memory::verdict::{Limit, Verdict};

use super::bench::{Bench, last_line};
use super::command::{differs, of_command};
use super::text::steady;
use super::{Found, Ground};
use crate::sandbox::{Answer, Job, Served, Service};

/// Wall time of a service with all its questions.
const SERVICE_MS_MAX: u64 = 120_000;

/// Starts a service in the sandbox, waits until it listens, and asks it.
pub(super) async fn http(start: &str, port: u16, requests: &[Request], ground: &Ground<'_>) -> Found {
    let service = Service { start: start.to_owned(), port, requests: requests.to_vec() };
    let tried = async {
        let bench = Bench::of(ground)?;
        if !bench.has_loopback() {
            return Err(
                "services have no network of their own here, which needs bubblewrap and user namespaces"
                    .to_owned(),
            );
        }
        let job = bench.job(Vec::new(), SERVICE_MS_MAX);
        bench.run(&Job { service: Some(service), ..job }).await
    };
    let ran = match tried.await {
        Ok(ran) => ran,
        Err(reason) => return Found::nothing(reason),
    };
    let verdict = match (ran.limit, &ran.served) {
        (Some(limit), _) => {
            Verdict::Stopped { limit, reason: format!("the service was stopped: {}", limit.verdict()) }
        }
        (None, Some(served)) => judge(served, requests, &steady(&ran.output)),
        (None, None) => Verdict::NoEvidence { reason: "nothing came back about the service".to_owned() },
    };
    of_command(verdict, start, &ran)
}

fn judge(served: &Served, requests: &[Request], output: &str) -> Verdict {
    let failed = |reason: String| Verdict::Failed { reason };
    match served {
        Served::PortTaken => failed("its port is taken already".to_owned()),
        Served::NotStarted(why) => Verdict::NoEvidence { reason: format!("it cannot be started: {why}") },
        Served::Ended(Some(127)) => {
            Verdict::NoEvidence { reason: format!("a command is not installed: {}", last_line(output)) }
        }
        Served::Ended(status) => {
            let status = status.map_or("by a signal".to_owned(), |s| format!("with exit code {s}"));
            failed(format!("the service ended {status} before it listened: {}", last_line(output)))
        }
        Served::Silent => Verdict::Stopped {
            limit: Limit::WallTime,
            reason: "the service did not listen on its port in time".to_owned(),
        },
        Served::Answered(answers) => {
            let first = requests.iter().zip(answers).find_map(|(request, answer)| wrong(request, answer));
            match first {
                Some(verdict) => verdict,
                None if answers.len() == requests.len() => Verdict::Passed,
                None => failed("not every request was answered".to_owned()),
            }
        }
    }
}

/// What is wrong with an answer.
fn wrong(request: &Request, answer: &Result<Answer, String>) -> Option<Verdict> {
    let asked = format!("{} {}", request.method, request.path);
    let failed = |why: String| Some(Verdict::Failed { reason: format!("{asked}: {why}") });
    match answer {
        Err(why) => failed(why.clone()),
        Ok(answer) if answer.status != request.status => {
            failed(format!("its status is {}, {} was expected", answer.status, request.status))
        }
        Ok(answer) => match differs(&answer.body, &request.expect) {
            Ok(None) => None,
            Ok(Some(why)) => failed(format!("its body {why}")),
            Err(reason) => Some(Verdict::NoEvidence { reason }),
        },
    }
}
