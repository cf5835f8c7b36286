//! The listening socket: a Unix socket in a directory that only its owner can enter, or TCP on loopback on systems
//! without Unix sockets.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

#[cfg(not(unix))]
pub(super) use tcp::Listener;
#[cfg(unix)]
pub(super) use unix::Listener;

/// A listening socket in a runtime.
pub(super) trait Accept: Send + Sync + 'static {
    /// The connection to a client.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next connection.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

#[cfg(unix)]
mod unix {
    use std::{
        fs::{DirBuilder, Permissions},
        os::unix::{
            fs::{DirBuilderExt as _, PermissionsExt as _, chown},
            net::UnixListener,
        },
        path::{Path, PathBuf},
    };

    use tokio::net::UnixStream;

    use super::{super::messages, Accept, io};

    /// The maximum length of a socket's path, including the terminating zero: 104 on macOS, 108 on Linux.
    const LONGEST_PATH: usize = 104;

    /// A listening socket, whose files are removed when it is dropped. Connections wait until they are accepted.
    pub(in super::super) struct Listener {
        listener: UnixListener,
        directory: SocketDirectory,
    }

    struct Accepting {
        listener: tokio::net::UnixListener,
        _directory: SocketDirectory,
    }

    struct SocketDirectory(PathBuf);

    impl Drop for SocketDirectory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    impl Listener {
        /// Opens a socket in PLUGIN_UNIX_SOCKET_DIR, or in the system's directory for temporary files. The group named
        /// by PLUGIN_UNIX_SOCKET_GROUP may connect too.
        ///
        /// # Errors
        /// The socket can't be created, or the group is unknown.
        pub(in super::super) fn open(environment: impl Fn(&str) -> Option<String>) -> io::Result<Self> {
            let set = |name| environment(name).filter(|value| !value.is_empty());
            let group = set("PLUGIN_UNIX_SOCKET_GROUP").map(|name| group_id(&name)).transpose()?;
            let parent = set("PLUGIN_UNIX_SOCKET_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
            let directory = SocketDirectory(make_directory(&parent)?);
            let path = directory.0.join("plugin");
            let listener = UnixListener::bind(&path)?;
            if let Some(group) = group {
                chown(&directory.0, None, Some(group))?;
                std::fs::set_permissions(&directory.0, Permissions::from_mode(0o710))?;
                chown(&path, None, Some(group))?;
                std::fs::set_permissions(&path, Permissions::from_mode(0o660))?;
            }
            Ok(Self { listener, directory })
        }

        pub(in super::super) fn network(&self) -> &'static str {
            "unix"
        }

        pub(in super::super) fn address(&self) -> String {
            self.directory.0.join("plugin").display().to_string()
        }

        /// Starts to accept connections, in the runtime of the caller.
        ///
        /// # Errors
        /// The runtime can't register the socket.
        pub(in super::super) fn accepting(self) -> io::Result<impl Accept> {
            self.listener.set_nonblocking(true)?;
            let listener = tokio::net::UnixListener::from_std(self.listener)?;
            Ok(Accepting { listener, _directory: self.directory })
        }
    }

    impl Accept for Accepting {
        type Stream = UnixStream;

        async fn accept(&self) -> io::Result<UnixStream> {
            self.listener.accept().await.map(|(stream, _)| stream)
        }
    }

    /// Creates a directory of mode 0700, under /tmp if the path would be too long for a socket.
    fn make_directory(parent: &Path) -> io::Result<PathBuf> {
        let mut random = [0; 8];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::other(messages::no_random_bytes()))?;
        let name = format!("terraform-provider-{:016x}", u64::from_ne_bytes(random));
        let mut path = parent.join(&name);
        if path.as_os_str().len() + "/plugin".len() >= LONGEST_PATH {
            path = Path::new("/tmp").join(&name);
        }
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(path)
    }

    fn group_id(group: &str) -> io::Result<u32> {
        if let Ok(id) = group.parse() {
            return Ok(id);
        }
        match nix::unistd::Group::from_name(group) {
            Ok(Some(group)) => Ok(group.gid.as_raw()),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, messages::unknown_group(group))),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn only_the_owner_can_enter_and_nothing_is_left_behind() {
            let parent = tempfile::tempdir().unwrap();
            let set = parent.path().display().to_string();
            let listener =
                Listener::open(|name| (name == "PLUGIN_UNIX_SOCKET_DIR").then(|| set.clone())).unwrap();
            let directory = listener.directory.0.clone();
            assert!(directory.starts_with(parent.path()));
            assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
            drop(listener);
            assert!(!directory.exists());
        }

        #[test]
        fn a_group_may_connect_if_the_host_says_so() {
            let gid = nix::unistd::getgid().as_raw().to_string();
            let listener =
                Listener::open(|name| (name == "PLUGIN_UNIX_SOCKET_GROUP").then(|| gid.clone())).unwrap();
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&listener.directory.0), 0o710);
            assert_eq!(mode(Path::new(&listener.address())), 0o660);
            assert!(group_id("no-such-group-here").is_err());
        }

        #[test]
        fn a_path_that_is_too_long_for_a_socket_is_avoided() {
            let parent = tempfile::tempdir().unwrap().path().join("x".repeat(120));
            let directory = make_directory(&parent).unwrap();
            assert!(directory.starts_with("/tmp"));
            std::fs::remove_dir(directory).unwrap();
        }
    }
}

/// For systems without Unix sockets. It is compiled for tests too, so that it is tested on every system.
#[cfg(any(test, not(unix)))]
pub(super) mod tcp {
    use std::net::{Ipv4Addr, TcpListener};

    use tokio::net::TcpStream;

    use super::{super::messages, Accept, io};

    /// A listening socket on loopback. Connections wait until they are accepted.
    pub(in super::super) struct Listener(TcpListener);

    impl Listener {
        /// Opens a socket on the first free port from PLUGIN_MIN_PORT to PLUGIN_MAX_PORT.
        ///
        /// # Errors
        /// No port is free.
        pub(in super::super) fn open(environment: impl Fn(&str) -> Option<String>) -> io::Result<Self> {
            let port =
                |name, default| environment(name).and_then(|port| port.parse().ok()).unwrap_or(default);
            let mut ports = port("PLUGIN_MIN_PORT", 10_000_u16)..=port("PLUGIN_MAX_PORT", 25_000);
            let bound = ports.find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
            bound.map(Self).ok_or_else(|| io::Error::other(messages::no_free_port()))
        }

        pub(in super::super) fn network(&self) -> &'static str {
            "tcp"
        }

        pub(in super::super) fn address(&self) -> String {
            self.0.local_addr().map(|address| address.to_string()).unwrap_or_default()
        }

        /// Starts to accept connections, in the runtime of the caller.
        ///
        /// # Errors
        /// The runtime can't register the socket.
        pub(in super::super) fn accepting(self) -> io::Result<impl Accept> {
            self.0.set_nonblocking(true)?;
            tokio::net::TcpListener::from_std(self.0)
        }
    }

    impl Accept for tokio::net::TcpListener {
        type Stream = TcpStream;

        async fn accept(&self) -> io::Result<TcpStream> {
            self.accept().await.map(|(stream, _)| stream)
        }
    }

    #[cfg(test)]
    mod tests {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        use super::*;

        /// Opens a socket on one of these ports.
        fn open(first: u16, last: u16) -> io::Result<Listener> {
            Listener::open(|name| match name {
                "PLUGIN_MIN_PORT" => Some(first.to_string()),
                "PLUGIN_MAX_PORT" => Some(last.to_string()),
                _ => None,
            })
        }

        #[tokio::test]
        async fn the_first_free_port_of_the_range_is_taken() {
            // A free port after one that is in use.
            let (taken, port) = loop {
                let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                let port = taken.local_addr().unwrap().port();
                if port < u16::MAX && TcpListener::bind((Ipv4Addr::LOCALHOST, port + 1)).is_ok() {
                    break (taken, port);
                }
            };
            assert!(open(port, port).is_err(), "the only port is taken");
            let listener = open(port, port + 1).unwrap();
            assert_eq!((listener.network(), listener.address()), ("tcp", format!("127.0.0.1:{}", port + 1)));
            drop(taken);

            let address = listener.address();
            let accepting = listener.accepting().unwrap();
            let mut client = TcpStream::connect(address).await.unwrap();
            let mut accepted = accepting.accept().await.unwrap();
            client.write_all(b"hello").await.unwrap();
            let mut heard = [0; 5];
            accepted.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"hello");
        }

        #[test]
        fn a_range_that_is_none_has_no_free_port() {
            assert!(open(2, 1).is_err());
        }
    }
}
