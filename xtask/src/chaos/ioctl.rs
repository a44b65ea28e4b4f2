//! Two requests to the kernel that no safe function makes. The one file of this workspace that says `unsafe`.
#![allow(unsafe_code)]

use rustix::ioctl::{Opcode, Setter, ioctl};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// `TUNSETIFF` of linux/if_tun.h: `_IOW('T', 202, int)`, although what it takes is a `struct ifreq`.
const TUNSETIFF: Opcode = 0x4004_54ca;
const IFF_TUN: i16 = 0x0001;
/// No four bytes before each packet.
const IFF_NO_PI: i16 = 0x1000;
/// Bytes of an interface's name, with the zero that ends it.
const IFNAMSIZ: usize = 16;

/// `EXT4_IOC_SHUTDOWN` of linux/fs/ext4.h: `_IOR('X', 125, __u32)`.
const EXT4_IOC_SHUTDOWN: Opcode = 0x8004_587d;
/// Neither data nor journal is flushed: what was not synced is gone, as when the power fails.
const NO_LOG_FLUSH: u32 = 2;

/// `struct ifreq` of linux/if.h, as long as the kernel has it: a name and a union of 24 bytes that begins with the flags.
#[repr(C)]
#[derive(Debug)]
struct InterfaceRequest {
    name: [u8; IFNAMSIZ],
    flags: i16,
    rest: [u8; 22],
}

/// A new TUN device in the network namespace of this thread. It is gone when the file is closed.
pub(super) fn open_tun(name: &str) -> io::Result<File> {
    let mut request =
        InterfaceRequest { name: [0; IFNAMSIZ], flags: IFF_TUN | IFF_NO_PI, rest: [0; 22] };
    if name.len() >= IFNAMSIZ {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a name of 15 bytes at most"));
    }
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file =
        OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open("/dev/net/tun")?;
    // Sound: the request reads one `struct ifreq`, which is what it is pointed at, and keeps no pointer to it.
    unsafe {
        ioctl(&file, Setter::<TUNSETIFF, InterfaceRequest>::new(request))?;
    }
    Ok(file)
}

/// Takes the power from the ext4 that is mounted at `mount`: from now on it writes nothing, and says so with EIO.
pub(super) fn shut_down_ext4(mount: &Path) -> io::Result<()> {
    let root = File::open(mount)?;
    // Sound: the request reads one `__u32`, which is what it is pointed at. On a file system that does not know it, it is an
    // error.
    unsafe {
        ioctl(&root, Setter::<EXT4_IOC_SHUTDOWN, u32>::new(NO_LOG_FLUSH))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_for_a_device_is_as_long_as_the_kernel_has_it() {
        assert_eq!(size_of::<InterfaceRequest>(), 40);
    }

    #[test]
    fn a_name_that_is_too_long_is_refused() {
        assert_eq!(open_tun("sixteen-bytes-xx").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
