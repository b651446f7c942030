use super::*;

/// Checks that `text` is a whole reply under `grammar`; says where it stops being one.
fn accepts(grammar: &str, text: &str) -> Result<(), String> {
    let env = ApproximateTokEnv::single_byte_env();
    let mut factory = ParserFactory::new_simple(&env).unwrap();
    factory.quiet();
    let parser = factory.create_parser(TopLevelGrammar::from_lark(grammar.to_owned()));
    let mut matcher = Matcher::new(parser);
    let tokens = env.tokenize(text);
    let taken = matcher.try_consume_tokens(&tokens).map_err(|e| e.to_string())?;
    if taken < tokens.len() {
        return Err(format!("stops after {:?}", &text[..taken]));
    }
    let whole = matcher.is_stopped() || matcher.is_accepting().map_err(|e| e.to_string())?;
    if whole { Ok(()) } else { Err("is not at an end".to_owned()) }
}

fn weather() -> Value {
    json!({ "type": "object", "properties": { "city": { "type": "string" }, "days": { "type": "integer" } },
            "required": ["city"] })
}

fn calls(calls_max: usize) -> Calls {
    let none = json!({ "type": "object", "properties": {}, "additionalProperties": false });
    Calls { tools: vec![("weather".to_owned(), weather()), ("now".to_owned(), none)], calls_max }
}

const WEATHER: &str =
    "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>";
const NOW: &str = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";

#[test]
fn answers_are_of_the_schema() {
    let grammar = grammar(Some(&weather()), None).unwrap();
    check(&grammar).unwrap();
    accepts(&grammar, r#"{"city": "Rome", "days": 3}"#).unwrap();
    accepts(&grammar, r#"{"city": "Rome"}"#).unwrap();
    for text in [r#"{"days": 3}"#, r#"{"city": "Rome", "more": 1}"#, r#"{ "city": "Rome" }"#, "Rome", WEATHER]
    {
        accepts(&grammar, text).unwrap_err();
    }
}

#[test]
fn any_object_is_one() {
    let grammar = grammar(Some(&json!({ "type": "object" })), None).unwrap();
    accepts(&grammar, r#"{"a": [1, {"b": null}]}"#).unwrap();
    accepts(&grammar, "[1]").unwrap_err();
}

#[test]
fn calls_name_a_tool_and_fit_it() {
    let grammar = grammar(None, Some(&calls(1))).unwrap();
    check(&grammar).unwrap();
    accepts(&grammar, WEATHER).unwrap();
    accepts(&grammar, NOW).unwrap();
    for text in
        [&format!("{NOW}\n{NOW}"), &NOW.replace("now", "never"), &WEATHER.replace("city", "town"), "hello"]
    {
        accepts(&grammar, text).unwrap_err();
    }
}

#[test]
fn several_calls_and_answers_where_they_are_allowed() {
    let several = grammar(None, Some(&calls(2))).unwrap();
    accepts(&several, &format!("{NOW}\n{WEATHER}")).unwrap();
    accepts(&several, &format!("{NOW}\n{NOW}\n{NOW}")).unwrap_err();
    let either = grammar(Some(&weather()), Some(&calls(1))).unwrap();
    accepts(&either, NOW).unwrap();
    accepts(&either, r#"{"city": "Rome"}"#).unwrap();
}

#[test]
fn only_objects_that_say_nothing_else_are_closed() {
    let open = json!({ "type": "object", "properties": { "a": { "type": "integer" } }, "additionalProperties": { "type": "integer" } });
    accepts(&grammar(Some(&open), None).unwrap(), r#"{"a": 1, "b": 2}"#).unwrap();
    let inner = json!({ "type": "object", "properties": { "list": { "type": "array", "items": weather() } }, "required": ["list"] });
    let inner = grammar(Some(&inner), None).unwrap();
    accepts(&inner, r#"{"list": [{"city": "Rome"}, {"city": "Oslo"}]}"#).unwrap();
    accepts(&inner, r#"{"list": [{"city": "Rome", "more": 1}]}"#).unwrap_err();
    let joined = json!({ "allOf": [
        { "type": "object", "properties": { "a": { "type": "integer" } }, "required": ["a"] },
        { "type": "object", "properties": { "b": { "type": "integer" } }, "required": ["b"] },
    ] });
    let joined = grammar(Some(&joined), None).unwrap();
    check(&joined).unwrap();
    accepts(&joined, r#"{"a": 1, "b": 2}"#).unwrap();
}

#[test]
fn what_cannot_bind_says_why() {
    let why = |schema: Value| grammar(Some(&schema), None).and_then(|g| check(&g)).unwrap_err();
    assert!(why(json!(true)).contains("is an object"));
    assert!(why(json!({ "type": "colour" })).contains("colour"));
    let impossible = json!({ "type": "integer", "minimum": 3, "maximum": 1 });
    assert!(!why(impossible).is_empty());
    assert!(check("start: nowhere").unwrap_err().contains("nowhere"));
    assert!(check("").is_err());
}
