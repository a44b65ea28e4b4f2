//! Whole groups in one process: three environments on a hub in memory, and on TCP.

mod admin;
mod cleaning;
mod close;
mod counting;
mod drivers;
mod durability;
mod events;
mod failover;
mod handles;
mod home;
mod hostile;
mod options;
mod orders;
mod outcomes;
mod own_machine;
mod reads;
mod restore;
mod results;
mod services;
#[cfg(feature = "tls")]
mod tls;
mod turns;
mod watching;
mod world;
mod writes;
