use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::guard::Guarded;
use crate::install::{Install, NotInstalled};
use crate::options::Options;
use crate::user::{NoUser, User, server_user};

/// A running server. Dropping it stops it and removes its folder.
#[derive(Debug)]
pub struct Throwaway {
    // Dropped in this order: the server before its folder.
    server: Option<Guarded>,
    folder: TempDir,
    install: Install,
    user: Option<User>,
    port: u16,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A program is missing.
    #[error(transparent)]
    NotInstalled(#[from] NotInstalled),
    /// Nobody to run it as.
    #[error(transparent)]
    NoUser(#[from] NoUser),
    /// Something with files or processes failed.
    #[error("could not {doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What failed.
        source: io::Error,
    },
    /// `initdb` failed.
    #[error("initdb failed: {0}")]
    Initdb(String),
    /// The server ended at once or did not become ready.
    #[error("the throwaway PostgreSQL {what}; the end of its log:\n{log}")]
    NotReady {
        /// What it did.
        what: &'static str,
        /// The last lines that it wrote.
        log: String,
    },
}

/// Why SQL given to `psql` failed.
#[derive(Debug, thiserror::Error)]
pub enum PsqlError {
    /// It could not be started or spoken to.
    #[error("could not run psql: {0}")]
    Io(#[from] io::Error),
    /// It reported an error.
    #[error("psql failed: {0}")]
    Failed(String),
}

impl Throwaway {
    /// The superuser's name.
    pub const SUPERUSER: &'static str = "postgres";

    /// The superuser's password. It guards nothing but throwaway data on the loopback interface.
    pub const PASSWORD: &'static str = "throwaway";

    /// Where it listens.
    pub const HOST: &'static str = "127.0.0.1";

    const PORTS_TRIED: usize = 5;

    const READY_WITHIN: Duration = Duration::from_secs(60);

    /// Starts a server and waits until it takes connections.
    pub fn start(options: &Options) -> Result<Self, StartError> {
        let mut install = Install::find(options.programs.as_deref())?;
        let user = server_user()?;
        let folder = tempfile::Builder::new()
            .prefix("bailiwick-pg-")
            .tempdir()
            .map_err(|source| failed("create a temporary folder", source))?;
        give(folder.path(), user)?;
        if user.is_some() {
            let copy = folder.path().join("programs");
            install
                .within_reach(&copy)
                .map_err(|source| failed("copy the server's programs", source))?;
        }
        let mut throwaway = Self {
            server: None,
            folder,
            install,
            user,
            port: free_port()?,
        };
        throwaway.initialise()?;
        throwaway.configure(options)?;
        for _ in 1..Self::PORTS_TRIED {
            match throwaway.resume() {
                // Another process took the port between our look and the server's.
                Err(StartError::NotReady { log, .. }) if log.contains("in use") => {
                    throwaway.port = free_port()?;
                }
                result => return result.map(|()| throwaway),
            }
        }
        throwaway.resume()?;
        Ok(throwaway)
    }

    /// The port it listens on; the same after [`Throwaway::resume`].
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The superuser's URL of a database.
    pub fn url(&self, database: &str) -> String {
        let (user, password, host) = (Self::SUPERUSER, Self::PASSWORD, Self::HOST);
        format!(
            "postgres://{user}:{password}@{host}:{}/{database}",
            self.port
        )
    }

    /// Runs SQL in a database by the real `psql` as the superuser, and returns what it prints: a line
    /// a row, columns between `|`, no headings. Stops at the first error.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String, PsqlError> {
        let mut command = Command::new(&self.install.psql);
        without_pg_settings(&mut command);
        let mut psql = command
            .args([
                "--no-psqlrc",
                "--quiet",
                "--no-align",
                "--tuples-only",
                "--no-password",
            ])
            .args(["--set=ON_ERROR_STOP=1", "--file=-", "--host", Self::HOST])
            .args(["--username", Self::SUPERUSER, "--dbname", database])
            .arg(format!("--port={}", self.port))
            .env("PGPASSWORD", Self::PASSWORD)
            .env("PGAPPNAME", "bailiwick-throwaway")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut input) = psql.stdin.take() {
            // It closes its input early when it fails, and then says why itself.
            let _ = input.write_all(sql.as_bytes());
        }
        let output = psql.wait_with_output()?;
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(PsqlError::Failed(text(&output.stderr)))
        }
    }

    /// Everything the server has logged so far, and that is every statement it was given, each line
    /// with who sent it: `user@database application: `. The caller's own by [`Throwaway::psql`] are
    /// among them, as `postgres@… bailiwick-throwaway`.
    pub fn statement_log(&self) -> io::Result<String> {
        fs::read(self.log_file()).map(|log| String::from_utf8_lossy(&log).into_owned())
    }

    /// Stops the server at once, as if it had died. Does nothing if it is stopped.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts it again with its data and its port. Does nothing if it runs.
    pub fn resume(&mut self) -> Result<(), StartError> {
        if self.server.is_some() {
            return Ok(());
        }
        let starting = |source| failed("start the server", source);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file())
            .map_err(starting)?;
        let mut command = self.command(&self.install.postgres);
        let server = command
            .arg("-D")
            .arg(self.data())
            .arg(format!("-p{}", self.port))
            .stdout(log.try_clone().map_err(starting)?)
            .stderr(log)
            // An interrupt from the terminal is for us, and we end it.
            .process_group(0)
            .spawn()
            .map_err(starting)?;
        let mut server = Guarded::new(server, self.folder.path()).map_err(starting)?;
        self.wait_until_ready(&mut server)?;
        self.server = Some(server);
        Ok(())
    }

    fn initialise(&self) -> Result<(), StartError> {
        let password_file = self.folder.path().join("password");
        self.write(&password_file, Self::PASSWORD)?;
        let output = self
            .command(&self.install.initdb)
            .args([
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
                "--auth=scram-sha-256",
            ])
            .arg(format!("--username={}", Self::SUPERUSER))
            .arg(argument("--pwfile=", &password_file))
            .arg(argument("--pgdata=", &self.data()))
            .output()
            .map_err(|source| failed("run initdb", source))?;
        if output.status.success() {
            Ok(())
        } else {
            Err(StartError::Initdb(text(&output.stderr)))
        }
    }

    fn configure(&self, options: &Options) -> Result<(), StartError> {
        let superuser = Self::SUPERUSER;
        let host = if options.tls_only { "hostssl" } else { "host" };
        let method = options.auth.method();
        self.write(
            &self.data().join("pg_hba.conf"),
            &format!(
                "host all {superuser} {0}/32 scram-sha-256\n{host} all all {0}/32 {method}\n",
                Self::HOST
            ),
        )?;
        let mut settings = vec![
            ("listen_addresses", Self::HOST),
            ("unix_socket_directories", ""),
            ("password_encryption", options.auth.password_encryption()),
            ("log_statement", "all"),
            ("log_min_messages", "warning"),
            ("log_line_prefix", "%m [%p] %u@%d %a: "),
            ("shared_buffers", "32MB"),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
        ];
        if !options.durable {
            // Commits still reach the kernel, so they survive `stop`.
            settings.extend([("fsync", "off"), ("full_page_writes", "off")]);
        }
        if let Some(certificate) = &options.certificate {
            self.write(&self.data().join("server.crt"), &certificate.chain)?;
            self.write(&self.data().join("server.key"), &certificate.key)?;
            settings.push(("ssl", "on"));
        }
        let theirs = options
            .settings
            .iter()
            .map(|(name, value)| (&**name, &**value));
        let lines: String = settings
            .into_iter()
            .chain(theirs)
            .map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''")))
            .collect();
        self.write(&self.data().join("postgresql.auto.conf"), &lines)
    }

    /// The server says in its pid file when it takes connections.
    fn wait_until_ready(&self, server: &mut Guarded) -> Result<(), StartError> {
        const STATUS_LINE: usize = 7;
        let pid_file = self.data().join("postmaster.pid");
        let start = Instant::now();
        loop {
            if server.has_ended() {
                return Err(self.not_ready("ended as soon as it was started"));
            }
            let pid_file = fs::read_to_string(&pid_file).unwrap_or_default();
            let status = pid_file.lines().nth(STATUS_LINE).unwrap_or_default();
            if status.trim() == "ready" {
                return Ok(());
            }
            if start.elapsed() > Self::READY_WITHIN {
                return Err(self.not_ready("did not become ready within a minute"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn not_ready(&self, what: &'static str) -> StartError {
        const LINES: usize = 20;
        let log = self.statement_log().unwrap_or_default();
        let skipped = log.lines().count().saturating_sub(LINES);
        let log = log.lines().skip(skipped).collect::<Vec<_>>().join("\n");
        StartError::NotReady { what, log }
    }

    /// A program of the server, as the server's user, in its folder.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        without_pg_settings(&mut command);
        command
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        command
    }

    /// Writes a file that only the server's user and we may read.
    fn write(&self, path: &Path, content: &str) -> Result<(), StartError> {
        let write = || -> io::Result<()> {
            let mut file: File = OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(true)
                .mode(0o600)
                .open(path)?;
            file.write_all(content.as_bytes())
        };
        write().map_err(|source| failed(&format!("write {}", path.display()), source))?;
        give(path, self.user)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

fn failed(doing: &str, source: io::Error) -> StartError {
    StartError::Io {
        doing: doing.to_owned(),
        source,
    }
}

fn give(path: &Path, user: Option<User>) -> Result<(), StartError> {
    let Some(user) = user else {
        return Ok(());
    };
    chown(path, Some(user.uid), Some(user.gid)).map_err(|source| {
        let doing = format!("give {} to the server's user", path.display());
        failed(&doing, source)
    })
}

/// A port that is free now.
fn free_port() -> Result<u16, StartError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|source| failed("find a free port", source))
}

/// The environment may hold settings for some other server.
fn without_pg_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"PG") {
            command.env_remove(name);
        }
    }
}

fn argument(option: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(option);
    argument.push(path);
    argument
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}
