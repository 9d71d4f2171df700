//! What the settings of the servers mean.

use std::time::Duration;

use super::connections::{classify, is_broken};
use super::servers::Server;
use super::{Inner, number, record_key};
use crate::{Error, RedisError, Risk};

/// The lines `name:value` of the answer to `INFO`.
struct Info(String);

impl Info {
    fn field(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }
}

impl Inner {
    pub(super) fn risks(&self) -> Result<Vec<Risk>, Error> {
        let mut risks = Vec::new();
        for server in self.all_servers()? {
            for risk in self.risks_of(&server)? {
                // The nodes of a cluster usually have the same settings.
                if !risks.contains(&risk) {
                    risks.push(risk);
                }
            }
        }
        for session_id in self.sessions_with_calls()? {
            let calls = super::calls::parse(session_id, &self.run(&self.scripts.pending, session_id, &[])?)?;
            let Some(used) = calls.iter().map(|call| *call.iterators.end()).max() else { continue };
            let record = record_key(session_id);
            let last: Option<String> = self
                .on_connection(Some(session_id), |connection| redis::Commands::hget(connection, &record, "iterator"))?;
            let last = last.as_deref().map_or(Ok(0), number)?;
            if used > last {
                risks.push(Risk::Behind { session_id, by: Duration::from_nanos(used - last) });
            }
        }
        Ok(risks)
    }

    fn risks_of(&self, server: &Server) -> Result<Vec<Risk>, Error> {
        let mut risks = Vec::new();
        let sections = ["memory", "persistence", "replication"]
            .map(|section| self.allowed::<String>(server, redis::cmd("INFO").arg(section)));
        let mut info = Info(String::new());
        for section in sections {
            match section? {
                Some(section) => info.0.push_str(&section),
                None => risks = vec![Risk::NoPause],
            }
        }
        let is_limited = info.field("maxmemory").is_some_and(|limit| limit != "0");
        if let Some(policy) = info.field("maxmemory_policy").filter(|policy| is_limited && *policy != "noeviction") {
            risks.push(Risk::Eviction { policy: policy.to_owned() });
        }
        let [appendfsync, save, min_replicas] = ["appendfsync", "save", "min-replicas-to-write"].map(|name| {
            self.allowed::<Vec<String>>(server, redis::cmd("CONFIG").arg("GET").arg(name))
                .map(|pair| pair.and_then(|pair| pair.into_iter().nth(1)))
        });
        let (appendfsync, save, min_replicas) = (appendfsync?, save?, min_replicas?);
        if appendfsync.is_none() || save.is_none() || min_replicas.is_none() {
            risks.push(Risk::SettingsUnknown);
        }
        match (info.field("aof_enabled"), appendfsync.as_deref(), save.as_deref()) {
            (Some("1"), Some(when @ ("everysec" | "no")), _) => {
                risks.push(Risk::SavedLate { setting: format!("appendfsync {when}") });
            }
            (Some("0"), _, Some("")) => risks.push(Risk::NotSaved),
            (Some("0"), _, Some(_)) => risks.push(Risk::SavedLate { setting: "appendonly no".to_owned() }),
            _ => {}
        }
        let connected = info.field("connected_slaves").and_then(|count| count.parse::<u32>().ok()).unwrap_or(0);
        let awaited = self.servers.settings().options.replicas;
        if awaited > 0 && connected > awaited {
            risks.push(Risk::MoreReplicas { connected, awaited });
        }
        if awaited == 0 && connected > 0 && min_replicas.as_deref() == Some("0") {
            risks.push(Risk::WritesAlone);
        }
        Ok(risks)
    }

    /// The answer of a server. None if the user may not ask.
    fn allowed<T: redis::FromRedisValue>(&self, server: &Server, command: &redis::Cmd) -> Result<Option<T>, Error> {
        let answer = self.on_one(server, |connection| match command.query(connection) {
            Ok(answer) => Ok(Ok(answer)),
            Err(error) if is_broken(&error) => Err(error),
            Err(error) => Ok(Err(error)),
        })?;
        match answer.map_err(classify) {
            Ok(answer) => Ok(Some(answer)),
            // A server may also lack the command.
            Err(RedisError::Forbidden | RedisError::Other(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
