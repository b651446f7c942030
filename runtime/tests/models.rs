//! What only a real model shows. `EDVAC_TEST_MODELS` names a directory with `smollm2-135m.gguf`; without the file these
//! tests fail. They exist only with the feature `model-tests`, so that they are absent rather than silently green.

use std::ops::ControlFlow;
use std::path::PathBuf;

use edvac_runtime::chat_template::ChatMessage;
use edvac_runtime::kv::{KvFormat, KvOptions};
use edvac_runtime::{
    Engine, EngineOptions, Error, Finish, GenerateRequest, Generation, Progress, REPLIES_MAX, Sampling,
    SharedEngine,
};

fn file() -> PathBuf {
    let dir =
        std::env::var_os("EDVAC_TEST_MODELS").expect("EDVAC_TEST_MODELS names the directory of test models");
    PathBuf::from(dir).join("smollm2-135m.gguf")
}

fn engine() -> Engine {
    engine_on("cpu")
}

fn engine_on(device: &str) -> Engine {
    let options = EngineOptions { device: device.to_owned(), ..EngineOptions::default() };
    Engine::open(&file(), &options).expect("the test model loads")
}

fn prompt(engine: &Engine, text: &str) -> Vec<u32> {
    let message = ChatMessage { role: "user".to_owned(), content: text.to_owned() };
    let text = engine.render_chat(&[message], true).unwrap();
    engine.tokenizer().encode(&text, true).unwrap()
}

fn generate(engine: &mut Engine, prompt: &[u32], change: impl FnOnce(&mut GenerateRequest)) -> Generation {
    let mut request =
        GenerateRequest { prompt: prompt.to_vec(), tokens_max: 16, ..GenerateRequest::default() };
    change(&mut request);
    engine.generate(&request, &mut |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn it_knows_the_capital_of_france() {
    let mut engine = engine();
    let ids = prompt(&engine, "What is the capital of France? Answer with one word.");
    let made = generate(&mut engine, &ids, |_| ());
    assert!(made.text.contains("Paris"), "{}", made.text);
}

#[test]
fn reused_prefixes_give_the_cold_reply() {
    // On other devices a branch is another sequence there, too.
    ["cpu", "candle-cpu"].into_iter().for_each(reused_prefixes_give_the_cold_reply_on);
}

fn reused_prefixes_give_the_cold_reply_on(device: &str) {
    let mut engine = engine_on(device);
    let shared = "You are given a list of words: apple, river, stone, cloud, lamp. ".repeat(4);
    let a = prompt(&engine, &format!("{shared}Which comes first?"));
    let b = prompt(&engine, &format!("{shared}Name the last one, please."));
    let cold_a = generate(&mut engine, &a, |_| ());
    assert_eq!(cold_a.reused_tokens, 0);
    let warm_b = generate(&mut engine, &b, |_| ());
    assert!(warm_b.reused_tokens > 60, "the shared part is found again: {}", warm_b.reused_tokens);
    let warm_a = generate(&mut engine, &a, |_| ());
    assert_eq!(warm_a.ids, cold_a.ids);
    let mut fresh = engine_on(device);
    assert_eq!(generate(&mut fresh, &b, |_| ()).ids, warm_b.ids);
}

#[test]
fn a_conversation_goes_on_where_it_was() {
    let mut engine = engine();
    let mut ids = prompt(&engine, "Count from one to five.");
    let made = generate(&mut engine, &ids, |_| ());
    ids.extend(&made.ids);
    let more = engine
        .tokenizer()
        .encode("<|im_end|>\n<|im_start|>user\nGo on.<|im_end|>\n<|im_start|>assistant\n", true)
        .unwrap();
    ids.extend(more);
    let next = generate(&mut engine, &ids, |_| ());
    assert!(
        next.reused_tokens + 1 >= next.prompt_tokens - 20,
        "{} of {}",
        next.reused_tokens,
        next.prompt_tokens
    );
}

#[test]
fn a_grammar_binds_the_reply() {
    let mut engine = engine();
    let ids = prompt(&engine, "Tell me a long story.");
    let grammar = "start: \"answer: \" WORD \"!\"\nWORD: /[a-z]{3,8}/\n";
    let made = generate(&mut engine, &ids, |r| r.grammar = Some(grammar.to_owned()));
    let word = made.text.strip_prefix("answer: ").and_then(|t| t.strip_suffix('!'));
    assert!(
        word.is_some_and(|w| (3..=8).contains(&w.len()) && w.bytes().all(|b| b.is_ascii_lowercase())),
        "{:?}",
        made.text
    );
    assert_eq!(made.finish, Finish::Stop);
    let bad = GenerateRequest {
        prompt: ids,
        tokens_max: 1,
        grammar: Some("start: {".to_owned()),
        ..GenerateRequest::default()
    };
    assert!(matches!(engine.generate(&bad, &mut |_| ControlFlow::Continue(())), Err(Error::Grammar(_))));
}

#[test]
fn stops_limits_and_cancelling() {
    let mut engine = engine();
    let ids = prompt(&engine, "Count: one, two, three, four, five.");
    assert_eq!(generate(&mut engine, &ids, |r| r.tokens_max = 3).ids.len(), 3);
    let free = generate(&mut engine, &ids, |_| ());
    let stop: String = free.text.chars().skip(4).take(3).collect();
    let made = generate(&mut engine, &ids, |r| r.stop = vec![stop.clone()]);
    assert_eq!(made.finish, Finish::StopText);
    assert!(!made.text.contains(&stop) && free.text.starts_with(&made.text));
    let request = GenerateRequest { prompt: ids, tokens_max: 16, ..GenerateRequest::default() };
    let cancelled = engine.generate(&request, &mut |p| match p {
        Progress::Piece { .. } => ControlFlow::Break(()),
        Progress::Prefill { .. } => ControlFlow::Continue(()),
    });
    assert_eq!(cancelled.unwrap().finish, Finish::Cancelled);
}

#[test]
fn text_goes_round_and_cannot_forge_control_tokens() {
    let engine = engine();
    let tokenizer = engine.tokenizer();
    for text in ["def f(x):\n    return x\n", "naïve — 東京 🙂", "1234567 0x1F", "  \t\n\n  ", "<|im_end|>"]
    {
        let ids = tokenizer.encode(text, false).unwrap();
        assert_eq!(tokenizer.decode(&ids), text);
        assert!(ids.iter().all(|id| !tokenizer.is_special(*id)), "{text:?}");
    }
    assert_eq!(tokenizer.encode("<|im_end|>", true).unwrap().len(), 1);
}

#[test]
fn what_cannot_run_is_named() {
    let kv = KvOptions { format: KvFormat::Q8, ..KvOptions::default() };
    let elsewhere = EngineOptions { device: "candle-cpu".to_owned(), kv, ..EngineOptions::default() };
    let error = Engine::open(&file(), &elsewhere).err().unwrap().to_string();
    assert!(error.contains("q8_0"), "{error}");
    let mut engine =
        Engine::open(&file(), &EngineOptions { window_tokens_max: Some(8), ..EngineOptions::default() })
            .unwrap();
    let request = GenerateRequest { prompt: vec![1; 9], tokens_max: 1, ..GenerateRequest::default() };
    let error = engine.generate(&request, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, Error::PromptTooLong { prompt_tokens: 9, window_tokens: 8 }));
    for (device, why) in [("cuda", "--features cuda"), ("metal", "--features metal"), ("abacus", "none of")] {
        let options = EngineOptions { device: device.to_owned(), ..EngineOptions::default() };
        let error = Engine::open(&file(), &options).err().map(|e| e.to_string()).unwrap_or_default();
        // A build that has it says what is wrong with the device instead, or nothing.
        let has =
            (device == "cuda" && cfg!(feature = "cuda")) || (device == "metal" && cfg!(feature = "metal"));
        assert!(has || error.contains(why), "{device}: {error}");
    }
    let cut = std::env::temp_dir().join(format!("edvac-cut-{}.gguf", std::process::id()));
    let whole = std::fs::read(file()).unwrap();
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let error =
        Engine::open(&cut, &EngineOptions::default()).err().map(|e| e.to_string()).unwrap_or_default();
    std::fs::remove_file(&cut).unwrap();
    assert!(error.contains("cut short"), "{error}");
}

/// Replies that are made together are those that are made alone, more of them than have room at once; one that nobody wants
/// any more ends, and the others do not notice.
#[test]
fn replies_made_together_are_those_made_alone() {
    let mut alone = engine();
    let long = "The shelf has apples, pears and plums. ".repeat(20);
    let requests: Vec<_> = (0..2 * REPLIES_MAX)
        .map(|n| {
            let text = format!("{}Name a word with {n} letters.", if n % 3 == 0 { &long } else { "" });
            let sampling = Sampling { temperature: (n % 2) as f32, seed: n as u64, ..Sampling::default() };
            let prompt = prompt(&alone, &text);
            GenerateRequest { prompt, tokens_max: 8 + n, sampling, ..GenerateRequest::default() }
        })
        .collect();
    let expected: Vec<_> = requests
        .iter()
        .map(|request| alone.generate(request, &mut |_| ControlFlow::Continue(())).unwrap().ids)
        .collect();
    let shared = SharedEngine::new(engine()).unwrap();
    std::thread::scope(|scope| {
        let left = scope.spawn(|| {
            let request = GenerateRequest { tokens_max: 4000, ..requests[0].clone() };
            shared.generate(&request, &mut |p| match p {
                Progress::Piece { .. } => ControlFlow::Break(()),
                Progress::Prefill { .. } => ControlFlow::Continue(()),
            })
        });
        let made: Vec<_> = requests
            .iter()
            .map(|request| {
                let shared = shared.clone();
                scope.spawn(move || shared.generate(request, &mut |_| ControlFlow::Continue(())).unwrap())
            })
            .collect();
        for (made, expected) in made.into_iter().zip(&expected) {
            let made = made.join().unwrap();
            assert_eq!(made.ids, *expected);
            assert_eq!(made.prompt_tokens, made.reused_tokens + made.prefilled_tokens);
        }
        assert!(left.join().unwrap().unwrap().ids.len() < 4000);
    });
    let bad = GenerateRequest { prompt: vec![u32::MAX], tokens_max: 1, ..GenerateRequest::default() };
    assert!(matches!(shared.generate(&bad, &mut |_| ControlFlow::Continue(())), Err(Error::Stopped(_))));
    let next = shared.generate(&requests[1], &mut |_| ControlFlow::Continue(()));
    assert_eq!(next.unwrap().ids, expected[1], "a bad request ends no other");
}

/// However late each of them comes: what they share is computed once, also while it is being computed.
#[test]
fn replies_that_begin_alike_compute_their_beginning_once() {
    let mut alone = engine();
    let shared_text = "The shelf has apples, pears and plums. ".repeat(40);
    let requests: Vec<_> = (0..REPLIES_MAX)
        .map(|n| {
            let prompt = prompt(&alone, &format!("{shared_text}Name {n} of them."));
            GenerateRequest { prompt, tokens_max: 12, ..GenerateRequest::default() }
        })
        .collect();
    let common = (0..requests[0].prompt.len())
        .find(|&n| requests.iter().any(|r| r.prompt[n] != requests[0].prompt[n]))
        .unwrap();
    let needed: usize = common + requests.iter().map(|r| r.prompt.len() - common).sum::<usize>();
    let shared = SharedEngine::new(engine()).unwrap();
    let made: Vec<_> = std::thread::scope(|scope| {
        let generate =
            |request| shared.generate(request, &mut |_| ControlFlow::Continue(())).expect("a reply");
        let threads: Vec<_> = requests.iter().map(|request| scope.spawn(move || generate(request))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(common > 300);
    assert_eq!(made.iter().map(|made| made.prefilled_tokens).sum::<usize>(), needed);
    for (made, request) in made.iter().zip(&requests) {
        let expected = alone.generate(request, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(made.ids, expected.ids);
    }
}

/// A reply is the same with and without guesses, bound by a grammar or not, greedy or sampled; it takes fewer passes.
#[test]
fn guesses_change_nothing_but_the_passes() {
    let without = EngineOptions { draft_tokens_max: 0, ..EngineOptions::default() };
    let mut plain = Engine::open(&file(), &without).unwrap();
    let mut guessing = engine();
    let text =
        "The mill stands by the river. The miller grinds the corn. The river turns the wheel. ".repeat(3);
    let ids = prompt(&plain, &format!("Write this text again, word for word:\n{text}"));
    let lark = "start: (WORD \" \")+\nWORD: /[A-Z][a-z]+ [a-z ]+[.]/";
    let mut saved = 0;
    for (temperature, seed, grammar) in
        [(0.0, 0, None), (0.7, 3, None), (1.2, 4, None), (0.0, 0, Some(lark)), (0.9, 5, Some(lark))]
    {
        let ask = |request: &mut GenerateRequest| {
            request.tokens_max = 60;
            request.sampling = edvac_runtime::Sampling { temperature, seed, ..Default::default() };
            request.grammar = grammar.map(str::to_owned);
        };
        let cold = generate(&mut plain, &ids, ask);
        let made = generate(&mut guessing, &ids, ask);
        assert_eq!(
            (&made.ids, &made.text, made.finish),
            (&cold.ids, &cold.text, cold.finish),
            "{temperature}"
        );
        assert_eq!((cold.drafted_tokens, cold.accepted_tokens), (0, 0));
        assert!(made.accepted_tokens <= made.drafted_tokens && made.passes <= cold.passes);
        saved += cold.passes - made.passes;
    }
    println!("{saved} passes saved");
    assert!(saved > 30, "{saved}");
    // What was guessed in vain is not remembered as if it had been said.
    let made = generate(&mut guessing, &ids, |request| request.tokens_max = 60);
    let mut longer = ids.clone();
    longer.extend(&made.ids);
    longer.push(made.ids[0]);
    let again = generate(&mut guessing, &longer, |request| request.tokens_max = 1);
    assert!(again.reused_tokens >= ids.len() + made.ids.len() - 1);
}

#[test]
fn a_reply_that_is_begun_goes_on_as_it_would_have() {
    let mut engine = engine();
    let ids = prompt(&engine, "Count from one to five.");
    let grammar = Some("start: /[a-zA-Z ,.]+/".to_owned());
    for grammar in [None, grammar] {
        let whole = generate(&mut engine, &ids, |r| r.grammar.clone_from(&grammar));
        for begun in [1, 5, whole.ids.len() - 1] {
            let rest = generate(&mut engine, &ids, |r| {
                r.grammar.clone_from(&grammar);
                r.begun = whole.ids[..begun].to_vec();
            });
            assert_eq!((&rest.ids, &rest.text), (&whole.ids, &whole.text), "{begun} tokens begun");
            let other = generate(&mut engine, &ids, |r| {
                r.grammar.clone_from(&grammar);
                r.begun = whole.ids[..begun].to_vec();
                r.banned_first = vec![whole.ids[begun]];
            });
            assert_eq!(other.ids[..begun], whole.ids[..begun]);
            assert_ne!(other.ids.get(begun), whole.ids.get(begun));
            assert_eq!(other.prompt_tokens, ids.len());
        }
    }
}
