//! Whole groups in one process: three environments on a hub in memory, and on TCP.

mod admin;
mod cleaning;
mod close;
mod counting;
mod damage;
mod designated;
mod drivers;
mod durability;
mod events;
mod failover;
mod handles;
mod home;
mod hostile;
mod membership;
mod options;
mod orders;
mod outcomes;
mod own_machine;
mod reads;
mod recover;
mod relaying;
mod restore;
mod results;
mod scrub;
mod services;
mod shipping;
#[cfg(feature = "tls")]
mod tls;
mod turns;
mod watched;
mod watching;
mod world;
mod writes;
