use serde_json::{Value, json};

use super::*;

fn read(asked: Value, tools: Option<&str>) -> Result<Vec<(Speaker, String)>, Refusal> {
    let asked: Vec<ChatCompletionRequestMessage> = serde_json::from_value(asked).unwrap();
    Ok(messages(&asked, tools)?.into_iter().map(|m| (m.speaker, m.text)).collect())
}

fn say(speaker: Speaker, text: &str) -> (Speaker, String) {
    (speaker, text.to_owned())
}

#[test]
fn everyone_who_may_speak() {
    let read = read(
        json!([
            { "role": "developer", "content": "Be brief." },
            { "role": "system", "content": [{ "type": "text", "text": "Be kind." }, { "type": "text", "text": "Rhyme." }] },
            { "role": "user", "content": [{ "type": "text", "text": "One" }, { "type": "text", "text": "two" }] },
            { "role": "assistant", "content": "Three." },
            { "role": "user", "content": "And?", "name": "ann" },
        ]),
        None,
    );
    let expected = [
        say(Speaker::System, "Be brief.\n\nBe kind.\nRhyme."),
        say(Speaker::User, "One\ntwo"),
        say(Speaker::Assistant, "Three."),
        say(Speaker::User, "And?"),
    ];
    assert_eq!(read.unwrap(), expected);
}

#[test]
fn calls_and_their_answers_as_qwen_reads_them() {
    let function = |id: &str, name: &str, arguments: &str| json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } });
    let read = read(
        json!([
            { "role": "user", "content": "Weather?" },
            { "role": "assistant", "content": "I look.", "tool_calls": [
                function("c1", "weather", "{\"city\":\"Rome\"}"), function("c2", "now", "{}"),
            ] },
            { "role": "tool", "tool_call_id": "c1", "content": "sun" },
            { "role": "tool", "tool_call_id": "c2", "content": [{ "type": "text", "text": "noon" }] },
            { "role": "assistant", "content": null, "tool_calls": [function("c3", "now", "not JSON")] },
            { "role": "tool", "tool_call_id": "c3", "content": "one" },
        ]),
        Some("# Tools"),
    );
    let expected = [
        say(Speaker::System, "You are a helpful assistant.\n\n# Tools"),
        say(Speaker::User, "Weather?"),
        say(
            Speaker::Assistant,
            "I look.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>\n\
             <tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>",
        ),
        say(Speaker::User, "<tool_response>\nsun\n</tool_response>\n<tool_response>\nnoon\n</tool_response>"),
        say(
            Speaker::Assistant,
            "<tool_call>\n{\"name\": \"now\", \"arguments\": \"not JSON\"}\n</tool_call>",
        ),
        say(Speaker::User, "<tool_response>\none\n</tool_response>"),
    ];
    assert_eq!(read.unwrap(), expected);
}

#[test]
fn rules_in_the_middle_stay_there() {
    let read = read(
        json!([
            { "role": "user", "content": "a" }, { "role": "system", "content": "b" },
            { "role": "system", "content": "c" }, { "role": "user", "content": "d" },
        ]),
        None,
    );
    let speakers: Vec<_> = read.unwrap().into_iter().map(|(speaker, _)| speaker).collect();
    assert_eq!(speakers, [Speaker::User, Speaker::System, Speaker::System, Speaker::User]);
}

#[test]
fn what_cannot_be_read_is_named() {
    let param = |asked: Value| read(asked, None).unwrap_err().param.unwrap();
    assert_eq!(param(json!([])), "messages");
    let image = json!({ "type": "image_url", "image_url": { "url": "data:," } });
    let text = json!({ "type": "text", "text": "What is this?" });
    assert_eq!(param(json!([{ "role": "user", "content": [text, image] }])), "messages[0].content[1]");
    let audio = json!({ "type": "input_audio", "input_audio": { "data": "", "format": "wav" } });
    assert_eq!(param(json!([{ "role": "user", "content": [audio] }])), "messages[0].content[0]");
    let orphan = json!({ "role": "tool", "tool_call_id": "c9", "content": "x" });
    assert_eq!(param(json!([{ "role": "user", "content": "a" }, orphan])), "messages[1].tool_call_id");
    assert_eq!(param(json!([{ "role": "assistant" }])), "messages[0].content");
    assert_eq!(param(json!([{ "role": "function", "name": "f", "content": "x" }])), "messages[0].role");
}
