//! Whether a program that was found may be run. Anyone who can replace it could run code with the rights of this
//! process, so only root and the user of this process may be able to.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// The number of links that Linux follows.
const MOST_LINKS: usize = 40;
const STICKY: u32 = 0o1000;
const GROUP_OR_OTHERS: u32 = 0o022;
const OTHERS: u32 = 0o002;

/// The first step on the absolute path of a program that another user owns or may change: the program itself, a folder
/// above it, or either of those for a link on the way. `None` if the program may be run.
pub(super) fn weak_step(program: &Path) -> Option<PathBuf> {
    weak_step_for(rustix::process::geteuid().as_raw(), program)
}

pub(super) fn is_trusted(program: &Path) -> bool {
    weak_step(program).is_none()
}

fn weak_step_for(uid: u32, program: &Path) -> Option<PathBuf> {
    let mut at = PathBuf::from("/");
    let mut ahead = steps(program);
    let mut links = 0;
    // `None` stands for the root folder.
    ahead.push_front(None);
    while let Some(step) = ahead.pop_front() {
        match step {
            Some(name) if name == ".." => {
                at.pop();
            }
            Some(name) => at.push(name),
            None => at = PathBuf::from("/"),
        }
        let Ok(there) = fs::symlink_metadata(&at) else {
            return Some(at);
        };
        if !is_safe(uid, &there) {
            return Some(at);
        }
        if there.is_symlink() {
            links += 1;
            let Some(target) = fs::read_link(&at).ok().filter(|_| links <= MOST_LINKS) else {
                return Some(at);
            };
            at.pop();
            let mut further = steps(&target);
            if target.is_absolute() {
                further.push_front(None);
            }
            further.extend(ahead);
            ahead = further;
        }
    }
    None
}

/// The names in a path, in order.
fn steps(path: &Path) -> VecDeque<Option<OsString>> {
    let name = |component| match component {
        Component::Normal(name) => Some(Some(name.to_owned())),
        Component::ParentDir => Some(Some(OsString::from(".."))),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(name).collect()
}

fn is_safe(uid: u32, there: &Metadata) -> bool {
    let is_owned = there.uid() == 0 || there.uid() == uid;
    // A link's mode has no meaning. In a sticky folder such as /tmp, users can replace only their own files.
    let is_closed = there.is_symlink() || (there.is_dir() && there.mode() & STICKY != 0);
    // Homebrew's folders are writable for a group of administrators, and many homes for the user's own group.
    let writers = if uid == 0 { GROUP_OR_OTHERS } else { OTHERS };
    is_owned && (is_closed || there.mode() & writers == 0)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_program_that_others_can_change_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let (bin, links) = (root.join("bin"), root.join("links"));
        fs::create_dir(&bin).unwrap();
        fs::create_dir(&links).unwrap();
        let program = bin.join("postgres");
        fs::write(&program, "").unwrap();
        [&bin, &links, &program].iter().for_each(|path| mode(path, 0o755));
        let link = links.join("postgres");
        symlink("../links/../bin/postgres", &link).unwrap();
        let user = rustix::process::geteuid().as_raw();
        let weak = |uid, path: &Path| weak_step_for(uid, path);
        assert_eq!(weak(user, &program), None);
        assert_eq!(weak(user, &link), None);

        for (path, bits) in [(&bin, 0o757), (&program, 0o757)] {
            mode(path, bits);
            assert_eq!(weak(user, &program).as_ref(), Some(path));
            assert_eq!(weak(user, &link).as_ref(), Some(path), "by a link");
            mode(path, 0o755);
        }
        mode(&links, 0o777);
        assert_eq!(weak(user, &program), None);
        assert_eq!(weak(user, &link), Some(links.clone()));
        mode(&links, 0o1777);
        assert_eq!(weak(user, &link), None, "sticky");
        mode(&bin, 0o775);
        assert_eq!(
            weak(user, &program).is_some(),
            user == 0,
            "a group is nobody else but for root"
        );
        mode(&bin, 0o755);

        // Root's own are everybody's; an ordinary user's are nobody else's, root's least of all.
        if user == 0 {
            assert_eq!(weak(12_345, &program), None);
            chown(&program, Some(12_345), None).unwrap();
            assert_eq!(weak(12_345, &program), None);
            assert_eq!(weak(0, &program).as_ref(), Some(&program));
            assert_eq!(weak(54_321, &program).as_ref(), Some(&program));
        } else {
            assert_eq!(weak(user + 1, &program), Some(root.clone()));
        }
        symlink("round", links.join("round")).unwrap();
        assert_eq!(weak(user, &links.join("round")), Some(links.join("round")));
        assert_eq!(weak(user, &bin.join("none")), Some(bin.join("none")));
    }
}
