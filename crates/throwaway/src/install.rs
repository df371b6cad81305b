use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the programs of a PostgreSQL installation are.
#[derive(Clone, Debug)]
pub(crate) struct Install {
    pub(crate) initdb: PathBuf,
    pub(crate) postgres: PathBuf,
    pub(crate) psql: PathBuf,
}

/// Names the folder to use, instead of looking for one.
const OVERRIDE: &str = "BAILIWICK_PG_BIN";

/// Where Debian's packages put each major version, out of `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";

/// A program is missing.
#[derive(Debug, thiserror::Error)]
pub enum NotInstalled {
    /// No server anywhere.
    #[error(
        "no PostgreSQL server is installed: neither PATH nor {DEBIAN}/*/bin has `initdb` and \
         `postgres`. On Debian or Ubuntu: apt-get install postgresql postgresql-client. Elsewhere \
         install PostgreSQL and set {OVERRIDE} to the folder of its programs"
    )]
    Server,
    /// The folder named by the caller has none.
    #[error("{OVERRIDE} is set to {0}, but there is no `initdb` and `postgres` in it")]
    Override(PathBuf),
    /// No client.
    #[error("no `psql` is installed. On Debian or Ubuntu: apt-get install postgresql-client")]
    Client,
}

impl Install {
    /// The folder that `BAILIWICK_PG_BIN` names, or the first in `PATH` with a server, or the newest
    /// of Debian's.
    pub(crate) fn find() -> Result<Self, NotInstalled> {
        let path = env::var_os("PATH").unwrap_or_default();
        let in_path: Vec<PathBuf> = env::split_paths(&path).collect();
        let bin = match env::var_os(OVERRIDE) {
            Some(bin) => {
                let bin = PathBuf::from(bin);
                if !has_server(&bin) {
                    return Err(NotInstalled::Override(bin));
                }
                bin
            }
            None => in_path
                .iter()
                .find(|bin| has_server(bin))
                .cloned()
                .or_else(|| newest(Path::new(DEBIAN)))
                .ok_or(NotInstalled::Server)?,
        };
        let psql = [&bin]
            .into_iter()
            .chain(&in_path)
            .map(|bin| bin.join("psql"))
            .find(|psql| psql.is_file())
            .ok_or(NotInstalled::Client)?;
        Ok(Self {
            initdb: bin.join("initdb"),
            postgres: bin.join("postgres"),
            psql,
        })
    }
}

fn has_server(bin: &Path) -> bool {
    bin.join("initdb").is_file() && bin.join("postgres").is_file()
}

/// The `bin` folder of the highest version that has a server.
fn newest(versions: &Path) -> Option<PathBuf> {
    fs::read_dir(versions)
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, bin)| has_server(bin))
        .max()
        .map(|(_, bin)| bin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_with_a_server_is_taken_by_number() {
        let folder = tempfile::tempdir().unwrap();
        for (version, programs) in [
            ("9", &["initdb", "postgres"][..]),
            ("15", &["initdb", "postgres"]),
            ("18", &["psql"]),
            ("notes", &["initdb", "postgres"]),
        ] {
            let bin = folder.path().join(version).join("bin");
            fs::create_dir_all(&bin).unwrap();
            for program in programs {
                fs::write(bin.join(program), "").unwrap();
            }
        }
        assert_eq!(newest(folder.path()), Some(folder.path().join("15/bin")));
        assert_eq!(newest(&folder.path().join("absent")), None);
    }
}
