//! One port, many services: who answers which Hello.
//!
//! A process listens once. Behind that one address live the groups it is a member of, and in each group the services that it
//! offers: channels between members, administration, whatever an application adds. The table is shared by all listeners of a process and may
//! change while they listen.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;

use crate::channel::Channel;
use crate::error::ServiceError;
use crate::hello::{Accepted, Hello, NAME_BYTES_MAX, RefuseReason, Versions};
use crate::identity::{self, Identity};
use crate::sync::Mutex;

/// What answers on behalf of one service.
pub trait ServiceHandler: Send + Sync {
    /// Whether to let this caller in. Called before the answer is sent; keep it quick, a caller is waiting.
    ///
    /// # Errors
    /// The reason, which reaches the dialler.
    fn check(&self, hello: &Hello) -> Result<(), RefuseReason> {
        let _ = hello;
        Ok(())
    }

    /// The versions that this service speaks, if they are others than its `host`'s: what is agreed on with a caller is agreed on for this service.
    fn versions(&self, host: Versions) -> Versions {
        host
    }

    /// Takes the channel, after the answer went out. It runs on a thread of the listener: it may serve the channel right here for as
    /// long as that lives, or hand it over and return. A listener that closes closes the channel if this has not returned.
    fn accept(&self, hello: Hello, channel: Arc<dyn Channel>);

    /// Whether the caller has to name the group. If not, an empty group in the Hello means the only one hosted; for tools that
    /// ask an address what it is.
    fn needs_group(&self) -> bool {
        true
    }
}

/// One group on this port, and who we are in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Host {
    /// The group.
    pub group: String,
    /// Our node name in it.
    pub node: String,
    /// Our incarnation.
    pub incarnation: [u8; 16],
    /// The protocol versions we speak in it, where a [service](ServiceHandler::versions) says no others.
    pub versions: Versions,
}

impl Host {
    /// We are `node` in `group`, in that incarnation, speaking version 1.
    pub fn new(group: impl Into<String>, node: impl Into<String>, incarnation: [u8; 16]) -> Self {
        Self { group: group.into(), node: node.into(), incarnation, versions: Versions::new(1, 1) }
    }

    /// Says which versions are spoken.
    #[must_use]
    pub fn speaking(mut self, versions: Versions) -> Self {
        self.versions = versions;
        self
    }
}

/// Groups and their services, by name.
#[derive(Debug, Default)]
pub struct ServiceTable {
    hosted: Mutex<BTreeMap<String, Hosted>>,
}

struct Hosted {
    host: Host,
    services: BTreeMap<String, Arc<dyn ServiceHandler>>,
}

impl Debug for Hosted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hosted")
            .field("host", &self.host)
            .field("services", &self.services.keys())
            .finish()
    }
}

impl ServiceTable {
    /// A table with nothing in it, which refuses everybody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a group, without services yet.
    ///
    /// # Errors
    /// [`ServiceError`] if it is there already or a name cannot be used.
    pub fn host(&self, host: Host) -> Result<(), ServiceError> {
        check_name("group", &host.group)?;
        check_name("node", &host.node)?;
        let mut hosted = self.hosted.lock();
        if hosted.contains_key(&host.group) {
            return Err(ServiceError::Taken { what: "group", name: host.group });
        }
        hosted.insert(host.group.clone(), Hosted { host, services: BTreeMap::new() });
        Ok(())
    }

    /// Removes a group and its services: new callers are refused, channels that exist live on.
    pub fn remove_host(&self, group: &str) {
        self.hosted.lock().remove(group);
    }

    /// Adds a service of a hosted group.
    ///
    /// # Errors
    /// [`ServiceError`] if the group is not hosted, the service is there already or its name cannot be used.
    pub fn register(
        &self,
        group: &str,
        service: &str,
        handler: Arc<dyn ServiceHandler>,
    ) -> Result<(), ServiceError> {
        check_name("service", service)?;
        let mut hosted = self.hosted.lock();
        let entry = hosted
            .get_mut(group)
            .ok_or_else(|| ServiceError::NotHosted { group: group.to_owned() })?;
        if entry.services.contains_key(service) {
            return Err(ServiceError::Taken { what: "service", name: service.to_owned() });
        }
        entry.services.insert(service.to_owned(), handler);
        Ok(())
    }

    /// Removes a service: new callers are refused, channels that exist live on.
    pub fn remove(&self, group: &str, service: &str) {
        if let Some(entry) = self.hosted.lock().get_mut(group) {
            entry.services.remove(service);
        }
    }

    /// Judges a Hello, for transports. `proved` is whom the transport itself has proof of (from a certificate): one of these must then
    /// be who the Hello says it is, in the group that it is about. None for transports that prove no names.
    ///
    /// # Errors
    /// The reason to send back.
    pub fn admit(
        &self,
        hello: &Hello,
        proved: Option<&[Identity]>,
    ) -> Result<Admitted, RefuseReason> {
        let admitted = self.find(hello)?;
        if let Some(proved) = proved {
            identity::is_who_called(proved, &admitted.accepted.group, hello)?;
        }
        // Outside the lock: a handler may look into this very table.
        admitted.handler.check(hello)?;
        Ok(admitted)
    }

    fn find(&self, hello: &Hello) -> Result<Admitted, RefuseReason> {
        let hosted = self.hosted.lock();
        let entry = match hello.group.as_str() {
            "" if hosted.len() == 1 => hosted.values().next(),
            group => hosted.get(group),
        };
        let Hosted { host, services } = entry.ok_or(RefuseReason::WrongGroup)?;
        if hello.target.as_ref().is_some_and(|target| *target != host.node) {
            return Err(RefuseReason::WrongNode { node: host.node.clone() });
        }
        let handler = Arc::clone(services.get(&hello.service).ok_or(RefuseReason::UnknownService)?);
        let spoken = handler.versions(host.versions);
        let version =
            spoken.agree(hello.versions).ok_or(RefuseReason::VersionMismatch { spoken })?;
        if hello.group.is_empty() && handler.needs_group() {
            return Err(RefuseReason::WrongGroup);
        }
        let accepted =
            Accepted::new(version, host.group.clone(), host.node.clone(), host.incarnation);
        Ok(Admitted { accepted, handler })
    }
}

/// A Hello that may be accepted: what to answer, and who takes the channel.
pub struct Admitted {
    /// What to answer.
    pub accepted: Accepted,
    /// Who takes the channel.
    pub handler: Arc<dyn ServiceHandler>,
}

impl Debug for Admitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted").field("accepted", &self.accepted).finish_non_exhaustive()
    }
}

fn check_name(what: &'static str, name: &str) -> Result<(), ServiceError> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(ServiceError::BadName {
            what,
            name: name.to_owned(),
            bytes_max: NAME_BYTES_MAX,
        });
    }
    Ok(())
}
