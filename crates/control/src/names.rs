//! From stored names back to what they stand for.

use bailiwick_action::Class;
use bailiwick_run::{Confinement, Ending};

pub(crate) fn confinement(name: &str) -> Option<Confinement> {
    use Confinement::{Elsewhere, GatewayOnly, Landlock, Unconfined};
    let all = [Landlock, GatewayOnly, Unconfined, Elsewhere];
    all.into_iter()
        .find(|confinement| confinement.as_str() == name)
}

pub(crate) fn ending(name: &str) -> Option<Ending> {
    use Ending::{Closed, Expired, GatewayStopped, Revoked};
    let all = [Closed, Expired, GatewayStopped, Revoked];
    all.into_iter().find(|ending| ending.as_str() == name)
}

pub(crate) fn class(name: &str) -> Option<Class> {
    use Class::{Admin, Destroy, Read, Session, Write};
    let all = [Session, Read, Write, Destroy, Admin];
    all.into_iter().find(|class| class.as_str() == name)
}
