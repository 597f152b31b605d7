; A site's profile, to be extended.
[profile]
name = site
[mounts]
/srv/share = /share
assets = /assets
[env]
set.SITE = here
