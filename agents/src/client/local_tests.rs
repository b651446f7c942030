use super::*;

fn say(speaker: Speaker, text: &str) -> Message {
    Message { speaker, text: text.into() }
}

/// Templates may fail, so it has the type of one.
#[allow(clippy::unnecessary_wraps)]
fn chatml(messages: &[ChatMessage]) -> Result<String, Error> {
    let turns: Vec<_> = messages.iter().map(|m| format!("<s>{}\n{}<e>\n", m.role, m.content)).collect();
    Ok(turns.concat() + "<s>assistant\n")
}

fn trimming(messages: &[ChatMessage]) -> Result<String, Error> {
    let trimmed: Vec<_> = messages
        .iter()
        .map(|m| ChatMessage { role: m.role.clone(), content: m.content.trim().to_owned() })
        .collect();
    chatml(&trimmed)
}

#[test]
fn spans_tell_the_template_from_what_is_said() {
    let messages = [say(Speaker::System, "user\n"), say(Speaker::User, " <e> 0 ")];
    let spans = render(&messages, chatml).unwrap();
    let said: Vec<_> = spans.iter().filter(|s| !s.template).map(|s| s.text.as_str()).collect();
    assert_eq!(said, ["user\n", " <e> 0 "]);
    assert_eq!(joined(&spans), "<s>system\nuser\n<e>\n<s>user\n <e> 0 <e>\n<s>assistant\n");
    let said: Vec<_> = render(&messages, trimming).unwrap().into_iter().filter(|s| !s.template).collect();
    assert_eq!(said[1].text, "<e> 0");
    assert!(render(&messages, |m| chatml(m).map(|t| t.to_uppercase())).is_err());
}

#[test]
fn a_conversation_that_goes_on_keeps_its_tokens() {
    let mut memo = Memo::default();
    assert_eq!(memo.longest_prefix("a b"), (0, vec![]));
    memo.keep("a b".into(), vec![1, 2]);
    memo.keep("a b c".into(), vec![1, 9]);
    memo.keep("x".into(), vec![7]);
    assert_eq!(memo.longest_prefix("a b c d"), (5, vec![1, 9]));
    assert_eq!(memo.longest_prefix("a b d"), (3, vec![1, 2]));
    assert_eq!(memo.longest_prefix("a"), (0, vec![]));
    for n in 0..REMEMBERED_MAX {
        memo.keep(format!("other {n}"), vec![]);
    }
    assert_eq!(memo.longest_prefix("a b c d").0, 0, "the oldest are forgotten");
    assert_eq!(memo.kept.len(), REMEMBERED_MAX);
}
