//! A whole reply as OpenAI says it.

use async_openai::types::chat::{
    ChatChoice, ChatCompletionMessageToolCall, ChatCompletionMessageToolCalls, ChatCompletionResponseMessage,
    CompletionUsage, CreateChatCompletionResponse, FinishReason, FunctionCall, PromptTokensDetails, Role,
};
use edvac_agents::client::{Finish, ModelReply, Usage};

use super::calls::{Piece, Scanner};
use crate::v1::{id, now_seconds};

/// The reply; `tools` are the names that it may call.
pub(super) fn completion(reply: &ModelReply, tools: &[String]) -> CreateChatCompletionResponse {
    let mut scanner = Scanner::new(tools);
    let mut pieces = scanner.push(&reply.text);
    pieces.extend(scanner.finish());
    let mut text = String::new();
    let mut calls = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(more) => text.push_str(&more),
            Piece::Call { name, arguments } => {
                let function = FunctionCall { name, arguments };
                let call = ChatCompletionMessageToolCall { id: id("call_"), function };
                calls.push(ChatCompletionMessageToolCalls::Function(call));
            }
        }
    }
    let finish_reason = finish_reason(reply.finish, !calls.is_empty());
    // A reply that only calls says nothing, which is not the same as saying an empty text.
    let content = (calls.is_empty() || !text.is_empty()).then_some(text);
    let tool_calls = (!calls.is_empty()).then_some(calls);
    CreateChatCompletionResponse {
        id: id("chatcmpl-"),
        object: "chat.completion".to_owned(),
        created: now_seconds(),
        model: reply.model.clone(),
        choices: vec![ChatChoice {
            index: 0,
            message: ChatCompletionResponseMessage {
                role: Role::Assistant,
                content,
                tool_calls,
                ..ChatCompletionResponseMessage::default()
            },
            finish_reason: Some(finish_reason),
            logprobs: None,
        }],
        usage: Some(usage(&reply.usage)),
        ..CreateChatCompletionResponse::default()
    }
}

/// Why it ended. A reply that was cut after a call is one that was cut.
pub(super) fn finish_reason(finish: Finish, called: bool) -> FinishReason {
    match finish {
        Finish::Stop if called => FinishReason::ToolCalls,
        Finish::Stop => FinishReason::Stop,
        Finish::Length => FinishReason::Length,
        Finish::ContentFilter => FinishReason::ContentFilter,
    }
}

/// What it cost.
pub(super) fn usage(usage: &Usage) -> CompletionUsage {
    CompletionUsage {
        prompt_tokens: usage.prompt_tokens as u32,
        completion_tokens: usage.completion_tokens as u32,
        total_tokens: (usage.prompt_tokens + usage.completion_tokens) as u32,
        prompt_tokens_details: Some(PromptTokensDetails {
            cached_tokens: Some(usage.reused_tokens as u32),
            ..PromptTokensDetails::default()
        }),
        completion_tokens_details: None,
    }
}
