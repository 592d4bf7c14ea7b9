<?php
// The wiki's settings. Anyone may edit: put a login in front of it before others can reach it.
$conf['title'] = getenv('TITLE') ?: 'A wiki on paas';
$conf['tagline'] = 'Pushed with git, kept in a volume';
$conf['license'] = '';
$conf['useacl'] = 0;
$conf['savedir'] = '/var/lib/dokuwiki/data';
$conf['updatecheck'] = 0;
