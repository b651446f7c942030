//! The messages of a request as the model reads them.

use async_openai::types::chat::{
    ChatCompletionMessageToolCalls, ChatCompletionRequestAssistantMessage,
    ChatCompletionRequestAssistantMessageContent as AssistantContent,
    ChatCompletionRequestAssistantMessageContentPart as AssistantPart,
    ChatCompletionRequestDeveloperMessageContent as DeveloperContent,
    ChatCompletionRequestDeveloperMessageContentPart as DeveloperPart, ChatCompletionRequestMessage,
    ChatCompletionRequestSystemMessageContent as SystemContent,
    ChatCompletionRequestSystemMessageContentPart as SystemPart,
    ChatCompletionRequestToolMessageContent as ToolContent,
    ChatCompletionRequestToolMessageContentPart as ToolPart,
    ChatCompletionRequestUserMessageContent as UserContent,
    ChatCompletionRequestUserMessageContentPart as UserPart,
};
use edvac_agents::client::{Message, Speaker};

use super::tools::call_text;
use crate::refusal::Refusal;

/// Most messages of a request: each costs a few tokens of the window, so more cannot fit.
const MESSAGES_MAX: usize = 4096;
/// What the rules are where there are tools and nobody wrote any.
const RULES: &str = "You are a helpful assistant.";

/// The conversation; what is said about `tools` is added to the rules.
pub(super) fn messages(
    asked: &[ChatCompletionRequestMessage],
    tools: Option<&str>,
) -> Result<Vec<Message>, Refusal> {
    if asked.is_empty() || asked.len() > MESSAGES_MAX {
        let message = format!("There are {} messages; 1 to {MESSAGES_MAX} are taken.", asked.len());
        return Err(Refusal::value("messages", message));
    }
    let mut said: Vec<Message> = Vec::with_capacity(asked.len() + 1);
    let mut call_ids: Vec<&str> = Vec::new();
    // Whether the last message is made of tools' answers, which share a turn.
    let mut answering = false;
    for (n, message) in asked.iter().enumerate() {
        let is_answer = matches!(message, ChatCompletionRequestMessage::Tool(_));
        let (speaker, text) = match message {
            ChatCompletionRequestMessage::System(m) => (Speaker::System, system(&m.content)),
            ChatCompletionRequestMessage::Developer(m) => (Speaker::System, developer(&m.content)),
            ChatCompletionRequestMessage::User(m) => (Speaker::User, user(&m.content, n)?),
            ChatCompletionRequestMessage::Assistant(m) => {
                call_ids.extend(functions(m).map(|(id, ..)| id));
                (Speaker::Assistant, assistant(m, n)?)
            }
            ChatCompletionRequestMessage::Tool(m) => {
                if !call_ids.contains(&m.tool_call_id.as_str()) {
                    let message = format!("No message before it has a tool call {:?}.", m.tool_call_id);
                    return Err(Refusal::value(format!("messages[{n}].tool_call_id"), message));
                }
                let text = tool(&m.content);
                (Speaker::User, format!("<tool_response>\n{text}\n</tool_response>"))
            }
            ChatCompletionRequestMessage::Function(_) => {
                let message =
                    "Messages of functions are called tool messages now: role \"tool\" with tool_call_id.";
                return Err(Refusal::unsupported(format!("messages[{n}].role"), message));
            }
        };
        match said.last_mut() {
            // Rules come first and once in most models' templates.
            Some(last)
                if speaker == Speaker::System && said_rules_only(last) && n == rules_before(asked, n) =>
            {
                last.text.push_str("\n\n");
                last.text.push_str(&text);
            }
            Some(last) if is_answer && answering => {
                last.text.push('\n');
                last.text.push_str(&text);
            }
            _ => said.push(Message { speaker, text }),
        }
        answering = is_answer;
    }
    if let Some(tools) = tools {
        match said.first_mut().filter(|m| m.speaker == Speaker::System) {
            Some(rules) => {
                rules.text.push_str("\n\n");
                rules.text.push_str(tools);
            }
            None => said.insert(0, Message { speaker: Speaker::System, text: format!("{RULES}\n\n{tools}") }),
        }
    }
    Ok(said)
}

fn said_rules_only(last: &Message) -> bool {
    last.speaker == Speaker::System
}

/// How many of the first `n` messages are rules with nothing before them but rules.
fn rules_before(asked: &[ChatCompletionRequestMessage], n: usize) -> usize {
    let rules = |m: &&ChatCompletionRequestMessage| {
        matches!(m, ChatCompletionRequestMessage::System(_) | ChatCompletionRequestMessage::Developer(_))
    };
    asked[..n].iter().take_while(rules).count()
}

fn joined<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    parts.collect::<Vec<_>>().join("\n")
}

fn system(content: &SystemContent) -> String {
    match content {
        SystemContent::Text(text) => text.clone(),
        SystemContent::Array(parts) => joined(parts.iter().map(|SystemPart::Text(p)| p.text.as_str())),
    }
}

fn developer(content: &DeveloperContent) -> String {
    match content {
        DeveloperContent::Text(text) => text.clone(),
        DeveloperContent::Array(parts) => joined(parts.iter().map(|DeveloperPart::Text(p)| p.text.as_str())),
    }
}

fn tool(content: &ToolContent) -> String {
    match content {
        ToolContent::Text(text) => text.clone(),
        ToolContent::Array(parts) => joined(parts.iter().map(|ToolPart::Text(p)| p.text.as_str())),
    }
}

fn user(content: &UserContent, n: usize) -> Result<String, Refusal> {
    let parts = match content {
        UserContent::Text(text) => return Ok(text.clone()),
        UserContent::Array(parts) => parts,
    };
    let mut texts = Vec::with_capacity(parts.len());
    for (p, part) in parts.iter().enumerate() {
        let kind = match part {
            UserPart::Text(part) => {
                texts.push(part.text.as_str());
                continue;
            }
            UserPart::ImageUrl(_) => "images",
            UserPart::InputAudio(_) => "audio",
            UserPart::File(_) => "files",
        };
        let message = format!("This model reads text alone, no {kind}. Send parts of type text.");
        return Err(Refusal::unsupported(format!("messages[{n}].content[{p}]"), message));
    }
    Ok(joined(texts.into_iter()))
}

fn functions(message: &ChatCompletionRequestAssistantMessage) -> impl Iterator<Item = (&str, &str, &str)> {
    message.tool_calls.iter().flatten().filter_map(|call| match call {
        ChatCompletionMessageToolCalls::Function(call) => {
            Some((call.id.as_str(), call.function.name.as_str(), call.function.arguments.as_str()))
        }
        ChatCompletionMessageToolCalls::Custom(_) => None,
    })
}

fn assistant(message: &ChatCompletionRequestAssistantMessage, n: usize) -> Result<String, Refusal> {
    let said = match &message.content {
        None => message.refusal.clone().unwrap_or_default(),
        Some(AssistantContent::Text(text)) => text.clone(),
        Some(AssistantContent::Array(parts)) => joined(parts.iter().map(|part| match part {
            AssistantPart::Text(part) => part.text.as_str(),
            AssistantPart::Refusal(part) => part.refusal.as_str(),
        })),
    };
    let calls: Vec<_> = functions(message).map(|(_, name, arguments)| call_text(name, arguments)).collect();
    if calls.is_empty() {
        if message.content.is_none() && message.refusal.is_none() {
            let message = "An assistant's message has content or tool_calls.";
            return Err(Refusal::value(format!("messages[{n}].content"), message));
        }
        return Ok(said);
    }
    let said = (!said.is_empty()).then_some(said);
    Ok(said.into_iter().chain(calls).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
