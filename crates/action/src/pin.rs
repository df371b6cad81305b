/// Whether a tool is the one that the task was written for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// If its definition has this SHA-256 digest.
    Digest([u8; 32]),
    /// Whatever its definition: the task says so.
    Unpinned,
    /// It is not: no digest was taken when the task was written.
    Missing,
}
