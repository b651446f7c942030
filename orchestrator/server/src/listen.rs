//! From an address to a server that answers, and to its end.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use edvac_agents::client::ModelClient;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::app::{App, Front, router};
use crate::dashboard::Desk;
use crate::guard::Guard;
use crate::metrics::Metrics;
use crate::v1::embeddings::Embeddings;

/// Fewest bytes of a token: below that it can be guessed.
pub const TOKEN_BYTES_MIN: usize = 16;
/// How long replies in progress may go on once the server is told to stop.
pub const STOP_TIME_MAX: Duration = Duration::from_secs(20);

/// Where to answer, and whom.
#[derive(Clone)]
pub struct Options {
    /// The address; one that other machines reach needs a token.
    pub bind: IpAddr,
    /// The port; 0 is any that is free.
    pub port: u16,
    /// What every request must carry as a bearer token.
    pub token: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { bind: Ipv4Addr::LOCALHOST.into(), port: 0, token: None }
    }
}

impl Options {
    /// Whether they can be used: an address that others reach needs a token.
    pub fn check(&self) -> Result<(), ServeError> {
        match &self.token {
            None if !self.bind.is_loopback() => Err(ServeError::NoToken { bind: self.bind }),
            Some(token) if token.len() < TOKEN_BYTES_MIN => {
                Err(ServeError::ShortToken { bytes: token.len() })
            }
            Some(token) if !token.bytes().all(|b| b.is_ascii_graphic()) => Err(ServeError::BadToken),
            _ => Ok(()),
        }
    }
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Other machines would reach it, and nothing would keep them out.
    #[error("{bind} is reached by other machines, and no token is set")]
    NoToken {
        /// The address.
        bind: IpAddr,
    },
    /// The token is too short.
    #[error("the token has {bytes} bytes; at least {TOKEN_BYTES_MIN} are needed")]
    ShortToken {
        /// Bytes it has.
        bytes: usize,
    },
    /// The token has characters that no header can carry.
    #[error("the token has characters that cannot be sent in a header")]
    BadToken,
    /// The address cannot be had.
    #[error("{address} cannot be used: {why}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        why: std::io::Error,
    },
    /// The listener broke.
    #[error("serving ended: {0}")]
    Serve(std::io::Error),
}

/// What is served.
#[derive(Default)]
pub struct Served {
    /// The model that writes, for programs.
    pub client: Option<Arc<dyn ModelClient>>,
    /// The model that embeds.
    pub embeddings: Option<Arc<dyn Embeddings>>,
    /// The runs behind the dashboard, and the token that opens it.
    pub desk: Option<(Arc<Desk>, String)>,
}

/// A server that has its address; requests wait until [`Server::run`].
pub struct Server {
    listener: TcpListener,
    router: Router,
    address: SocketAddr,
    access: Option<Arc<Access>>,
    desk: Option<Arc<Desk>>,
}

impl Server {
    /// Takes the address.
    pub async fn bind(options: &Options, served: Served) -> Result<Self, ServeError> {
        options.check()?;
        let wanted = SocketAddr::new(options.bind, options.port);
        let failed = |why| ServeError::Bind { address: wanted, why };
        let listener = TcpListener::bind(wanted).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let Served { client, embeddings, desk } = served;
        let (desk, token) = desk.unzip();
        let access = token.map(|token| Arc::new(Access::new(&token, address.port())));
        let guard = Guard::new(address, options.token.as_deref(), access.clone());
        let metrics = Arc::new(Metrics::new());
        let model = client.map(|client| App::new(client, embeddings, Arc::clone(&metrics)));
        let front = Front { guard, metrics, access: access.clone() };
        Ok(Self { listener, router: router(front, model, desk.clone()), address, access, desk })
    }

    /// The address of the dashboard, which opens it once: whoever has it is let in.
    pub fn dashboard_url(&self) -> Option<String> {
        let access = self.access.as_ref()?;
        Some(format!("http://{}/login?code={}", self.address, access.code()))
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What OpenAI's clients want as their base URL.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Answers until `stop`; then nothing new begins, and what is in progress has [`STOP_TIME_MAX`].
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), ServeError> {
        let (stopped, mut stopping) = watch::channel(());
        let streams = self.desk.as_ref().map(|desk| desk.stopping.clone());
        let signal = async move {
            stop.await;
            // Streams have no end of their own.
            streams.inspect(CancellationToken::cancel);
            let _ = stopped.send(());
        };
        let serving = axum::serve(self.listener, self.router).with_graceful_shutdown(signal);
        let patience = async move {
            if stopping.changed().await.is_err() {
                // The server ended by itself.
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(STOP_TIME_MAX).await;
        };
        let served = tokio::select! {
            served = serving => served.map_err(ServeError::Serve),
            () = patience => Ok(()),
        };
        if let Some(desk) = self.desk {
            desk.stop().await;
        }
        served
    }
}
