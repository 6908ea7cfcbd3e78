//! Whether a program that was looked for is run. Whoever can replace it decides what it does with the rights of this
//! process: for root only root may be able to, for everybody else root and they themselves.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// As many as Linux follows.
const MOST_LINKS: usize = 40;
const STICKY: u32 = 0o1000;
const GROUP_OR_OTHERS: u32 = 0o022;
const OTHERS: u32 = 0o002;

/// The first step on the way to the program that somebody else owns or may change: the program itself, a folder above it,
/// or either of those for a link on the way. `None`: it may be run. The path is absolute.
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
    // The root folder is a step, too.
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

/// The names in a path, in order; `None` would be the root folder.
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
    // A link's mode says nothing. In a sticky folder such as /tmp nobody can replace what belongs to another.
    let is_closed = there.is_symlink() || (there.is_dir() && there.mode() & STICKY != 0);
    // Homebrew's folders are open to a group of administrators, and so is many a home to its own.
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
    fn what_others_can_change_is_not_run() {
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
