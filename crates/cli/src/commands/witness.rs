//! `bailiwick witness`: signs what logs publish, for whoever trusts it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use bailiwick_audit::{Witness as Signing, WitnessConfig};
use bailiwick_control::WitnessServer;
use clap::Args;
use tokio::sync::watch;

use crate::commands::init::host_name;
use crate::commands::lasting::{LogArg, Signals};
use crate::commands::trust;
use crate::failure::Failure;
use crate::render::{self, clean, style};

/// Run a witness: sign what other gateways publish
///
/// It signs a checkpoint of a log only if that grew from the last one it signed, and so nobody can
/// show one history to some and another to others, or take one back. Run it where the gateway's
/// operator has no say. Speaks C2SP tlog-witness over plain HTTP; put a proxy with a certificate
/// before it where that matters. Stops on SIGTERM or Ctrl-C.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    bailiwick witness --listen 0.0.0.0:7500 --data ~/witness --name witness.example/w1 \\\n      \
        --log 'acme.example/bailiwick+1a2b3c4d+AbC…'\n  \
    bailiwick witness --listen 127.0.0.1:7500 --data ~/witness --policy logs.policy")]
pub(crate) struct Witness {
    /// Where it listens
    #[arg(long, value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The folder for its key and for what it signed; made if it is not there
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The name it signs under, such as witness.example/w1; it stays what it was at the first start,
    /// then HOST/witness if none is given
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The verifier key of a log to sign for; may be given several times
    #[arg(long = "log", value_name = "VKEY", required_unless_present = "policy")]
    logs: Vec<String>,
    /// A trust policy, all of whose logs are signed for
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    lines: LogArg,
}

impl Witness {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let lines = self.lines;
        lines.log_to_stderr();
        lines.tell(self.serve())
    }

    fn serve(self) -> Result<ExitCode, Failure> {
        let mut logs = self.logs;
        if let Some(file) = &self.policy {
            let policy = trust::read(file)?;
            logs.extend(policy.logs().iter().map(|log| log.vkey().to_owned()));
        }
        if logs.is_empty() {
            return Err(Failure::new("there is no log to sign for")
                .help("a `log VKEY` line in the policy, or --log VKEY, names one"));
        }
        let first_start = !self.data.join("witness.vkey").exists();
        let config = WitnessConfig {
            dir: self.data,
            name: self
                .name
                // Good enough for one who gives none.
                .or_else(|| first_start.then(|| format!("{}/witness", host_name()))),
            logs,
        };
        let witness = Signing::open(config).map_err(Failure::new)?;
        let runtime = tokio::runtime::Runtime::new()
            .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
        let served = runtime.block_on(serve(witness, self.listen));
        runtime.shutdown_background();
        served.map(|()| ExitCode::SUCCESS)
    }
}

async fn serve(witness: Signing, listen: SocketAddr) -> Result<(), Failure> {
    let (name, vkey) = (witness.name().to_owned(), witness.vkey());
    let mut origins: Vec<String> = witness.origins().map(str::to_owned).collect();
    origins.sort();
    let server = WitnessServer::bind(witness, listen)
        .await
        .map_err(|error| Failure::new(format!("cannot listen at {listen}: {error}")))?;
    let address = server.address();
    let (bold, dim) = (style::HEADING, style::DIM);
    let mut text = format!("{bold}witness{bold:#} {}\n", clean(&name));
    let mut line = |name: &str, value: &str| {
        text.push_str(&format!("  {dim}{name:<8}{dim:#} {}\n", clean(value)));
    };
    line("listen", &format!("http://{address}"));
    line("key", &vkey);
    for origin in &origins {
        line("log", origin);
    }
    line("policy", &format!("witness NAME {vkey} http://{address}"));
    let mut signals = Signals::listen()?;
    // Whoever started it may not care to read it.
    let _ = render::print(&text);
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(server.run(stopped));
    signals.told_to_stop().await;
    tracing::info!("stopping");
    let _ = stop.send(true);
    serving
        .await
        .map_err(|error| Failure::new(format!("the witness failed: {error}")))
}
