//! Whole groups in one process: three environments on a hub in memory, and on TCP.

mod admin;
mod close;
mod counting;
mod drivers;
mod durability;
mod failover;
mod handles;
mod home;
mod hostile;
mod options;
mod own_machine;
mod reads;
mod services;
mod watching;
mod world;
mod writes;
