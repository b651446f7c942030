//! A server of tools as tests need one: it answers, fails, is slow, and dies. `tool_server FILE` counts in that file;
//! `tool_server FILE stays` does not end when it should, and writes its process id there; `tool_server FILE pages` has a list that
//! never ends; `tool_server FILE names` has names that are none.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    CallToolResult, ContentBlock, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig,
};
use rmcp::schemars::{self, JsonSchema};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::{ErrorData, ServerHandler, ServiceExt as _, tool, tool_handler, tool_router};
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};

/// What most tools are given.
#[derive(Deserialize, JsonSchema)]
struct Text {
    /// The text.
    text: String,
}

struct Tools {
    file: PathBuf,
    mood: String,
}

#[tool_router]
impl Tools {
    /// Says the same again.
    #[tool(annotations(read_only_hint = true))]
    async fn echo(&self, Parameters(Text { text }): Parameters<Text>) -> String {
        text
    }

    /// Writes a line behind a file, and says how many there are.
    #[tool]
    async fn count(&self, Parameters(Text { text }): Parameters<Text>) -> Result<String, String> {
        let mut file =
            OpenOptions::new().create(true).append(true).open(&self.file).map_err(|e| e.to_string())?;
        writeln!(file, "{text}").map_err(|e| e.to_string())?;
        let all = std::fs::read_to_string(&self.file).map_err(|e| e.to_string())?;
        Ok(format!("{} lines", all.lines().count()))
    }

    /// Refuses.
    #[tool]
    async fn fail(&self) -> Result<String, String> {
        Err("the shelf is locked".to_owned())
    }

    /// Answers after an hour.
    #[tool]
    async fn sleep(&self) -> String {
        tokio::time::sleep(Duration::from_hours(1)).await;
        String::new()
    }

    /// Ends the server in the middle of the call, after it was counted.
    #[tool]
    async fn die(&self, Parameters(text): Parameters<Text>) -> String {
        let _ = self.count(Parameters(text)).await;
        std::process::exit(3);
    }

    /// Answers with a picture and a variable of its environment.
    #[tool(annotations(read_only_hint = true))]
    async fn picture(&self) -> Result<CallToolResult, ErrorData> {
        let seen = std::env::var("EDVAC_TEST_SECRET").unwrap_or_else(|_| "no secret".to_owned());
        Ok(CallToolResult::success(vec![
            ContentBlock::image("AAAAAAAA", "image/png"),
            ContentBlock::text(seen),
        ]))
    }
}

#[tool_handler]
impl ServerHandler for Tools {
    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut tools = Self::tool_router().list_all();
        if self.mood == "names" {
            for name in ["", "two words", "a\n@@ end\nb", "echo"] {
                let mut tool = tools[0].clone();
                tool.name = name.into();
                tools.push(tool);
            }
        }
        let mut page = ListToolsResult::with_all_items(tools);
        page.next_cursor = (self.mood == "pages").then(|| "more".to_owned());
        Ok(page)
    }

    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let file: PathBuf = std::env::args_os().nth(1).expect("a file to count in").into();
    let mood = std::env::args().nth(2).unwrap_or_default();
    let stays = mood == "stays";
    if stays {
        std::fs::write(&file, std::process::id().to_string()).expect("a file for its id");
        let mut terminate = signal(SignalKind::terminate()).expect("a signal that is not obeyed");
        tokio::spawn(async move { while terminate.recv().await.is_some() {} });
    }
    let service = Tools { file, mood }.serve(rmcp::transport::stdio()).await.expect("a client");
    let _ = service.waiting().await;
    if stays {
        std::future::pending::<()>().await;
    }
}
