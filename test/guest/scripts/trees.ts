/**
 * The file trees of the tests: state A, what happens until B, and a description of a tree that is made without any of
 * the product's scripts, to compare by.
 */

/** A tree with everything a tree can have. */
export const RICH = ['rich'] as const;
/** Small trees, one for each policy. */
export const POLICIES = ['newer-wins', 'keep-live', 'take-b'] as const;
/** Trees for the comparison of three, one for each policy. */
export const MERGES = ['merge-newer-wins', 'merge-keep-live', 'merge-take-b', 'merge-both'] as const;
/** Enough files that a copy can be met at work: more where guests are quick. */
export const manyFiles = (kind: 'vm' | 'loop'): number => (kind === 'vm' ? 900 : 6000);

const richA = (app: string) => `
mkdir -p ${app}/sub ${app}/same
echo same >${app}/same/file; ln ${app}/same/file ${app}/same/link
echo old >${app}/changed; ln ${app}/changed other/${app}-changed
echo 'only in A' >${app}/gone-in-b
ln -s "$PWD/other" ${app}/way-out
echo together >${app}/pair1; ln ${app}/pair1 ${app}/pair2
touch -d '2021-05-06 07:08:09.111111111' ${app}/same/* ${app}/changed ${app}/gone-in-b ${app}/pair1 ${app}/sub ${app}/same
`;

/** State A below the folder `root`: what the disk is rolled back to. */
export const stateA = (root: string) => `
cd ${root}
mkdir other many trap trap2 deep
echo outside >other/untouched
${RICH.map(richA).join('')}
${POLICIES.map((name) => `mkdir -p ${name}; for f in older newer same mode type; do echo A >${name}/$f; done; touch -d '2021-01-01' ${name}/*`).join('\n')}
${MERGES.map((name) => `mkdir ${name}; cd ${name}; for f in same b-changed live-changed conflict both-alike gone dropped moved-dir/f; do mkdir -p $(dirname $f); echo A >$f; done; cd ..`).join('\n')}
mkdir -p blocked/thing; echo x >blocked/thing/inside; touch -d @1767225600.25 blocked
sync
`;

const richB = (app: string) => String.raw`
echo newer >${app}/changed.new; chown 1001:1002 ${app}/changed.new; chmod 0640 ${app}/changed.new; mv ${app}/changed.new ${app}/changed
rm ${app}/gone-in-b
chmod 0711 ${app}/same
mkdir -p '${app}/new dir/x/y'
echo hostile >'${app}/new dir/x/'$'new\nline\ttab \\n back\\slash "quote" \'single\''
echo dash >${app}/-rf; echo dashes >'${app}/--files-from=x'; echo star >'${app}/*'; echo dollar >'${app}/$(touch HERE)'
echo hash >'${app}/#comment'; echo semi >'${app}/;semi'; echo space >'${app}/ lead and trail '; echo dots >${app}/...
printf bad >${app}/$'invalid-\xff\xfe-utf8'; printf ctl >${app}/$'\x01\x1b[31m\x7f'
printf long >${app}/$(printf 'n%.0s' {1..255})
ln -s /etc/passwd ${app}/absolute-link; ln -s loop ${app}/loop; ln -s $'odd\ntarget\t\\' ${app}/odd-link
mkfifo ${app}/fifo; chmod 0604 ${app}/fifo; chown 5:6 ${app}/fifo
mknod ${app}/null c 1 3
echo hard >${app}/hard1; ln ${app}/hard1 ${app}/sub/hard2; ln ${app}/hard1 '${app}/new dir/x/hard3'
truncate -s 12M ${app}/sparse; printf middle | dd of=${app}/sparse bs=1 seek=7000000 conv=notrunc status=none
dd if=/dev/urandom of=${app}/random bs=64k count=20 status=none
dd if=/dev/zero of=${app}/large bs=1M count=66 status=none; ln ${app}/large "${app}/sub/large too"
: >${app}/empty; chmod 0000 ${app}/empty
setfattr -n user.colour -v blue ${app}/changed
setfattr -n user.dir -v yes '${app}/new dir'
setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 ${app}/random
setfacl -m u:1234:r,g:77:rw ${app}/hard1
setfacl -d -m u:1234:rx '${app}/new dir'
chmod 4750 ${app}/-rf; chmod 2775 '${app}/new dir/x'; chmod 0700 ${app}/sub
chown -h 33:44 ${app}/loop; chown 7:8 '${app}/new dir/x/y'
rm ${app}/way-out; mkdir ${app}/way-out; echo inside >${app}/way-out/inside
rm ${app}/pair2; echo single >${app}/pair2
touch -h -d '2022-02-03 04:05:06.987654321' ${app}/odd-link
touch -d '2023-01-02 03:04:05.123456789' ${app}/-rf '${app}/new dir/x/y'
touch -d '1999-01-02 03:04:05.5' '${app}/new dir/x'
`;

/** What happens below `root` from A to B. */
export const fromAToB = (root: string, many: number) => `
cd ${root}
${RICH.map(richB).join('')}
for i in {1..${many}}; do echo "content of $i" >many/$i; done
${POLICIES.map((name) => `cd ${name}; for f in older newer mode missing; do echo "B of $f" >$f; done; touch -d '2022-01-01' older newer mode missing; chmod 0600 mode; rm type; mkdir type; echo below >type/below; touch -d '2022-01-01' type; cd ..`).join('\n')}
${MERGES.map((name) => `cd ${name}; echo 'B, older time' >b-changed; touch -d '2001-01-01' b-changed; echo B >conflict; echo alike >both-alike; touch -d '2020-02-02' both-alike; rm dropped; echo B >new; mv moved-dir renamed-dir; cd ..`).join('\n')}
mkdir trap/d trap2/d; echo f >trap/d/f; echo f >trap2/d/f; touch -d '2022-01-01' trap/d trap2/d
# A later moment of the same second.
rm -r blocked/thing; echo 'now a file' >blocked/thing; touch -d @1767225600.75 blocked
mkdir -p -m 0750 deep/one/two; chown 41:42 deep/one; setfattr -n user.k -v v deep/one; echo leaf >deep/one/two/leaf; echo no >deep/one/unselected
touch -d '2020-01-01 00:00:00.25' deep/one/two deep/one
mkdir -p patterns/cache/deep patterns/2026 patterns/keep/cache
for f in a.jpg b.tmp cache/c.jpg cache/deep/d.jpg 2026/e.jpg keep/f.jpg 'keep/*.jpg' keep/cache/g.jpg; do echo B >"patterns/$f"; done
mkdir big; dd if=/dev/zero of=big/file bs=1M count=30 status=none
sync
`;

/** What the applications did to the live tree below `root` after the rollback. */
export const liveSince = (root: string) => `
cd ${root}
${POLICIES.map((name) => `echo 'live now' >${name}/newer; echo 'only live' >${name}/only-live`).join('\n')}
${MERGES.map((name) => `cd ${name}; echo live >live-changed; echo live >conflict; echo alike >both-alike; touch -d '2020-02-02' both-alike; rm gone; echo live >fresh; cd ..`).join('\n')}
ln -s ../other trap/d; ln -s ../other trap2/d; touch -h -d '2021-06-06' trap2/d
sync
`;

/**
 * Shell that prints a description of every entry below `path` of `root`: type, mode, owner, size, time, link target,
 * hard links, device, ACL and attributes, content.
 */
export const describeTree = (root: string, path: string) => `
cd ${root}
find './${path}' -type d -printf '%p d %m %U:%G %T@\\0' , ! -type d -printf '%p %y %m %U:%G %s %T@ ->%l\\0' | sort -z | tr '\\0\\n' '\\n?'
declare -A first=()
while IFS=/ read -r -d '' inode name; do
  echo "\${name@Q} is one file with \${first[$inode]:=\${name@Q}}"
done < <(find './${path}' -type f -links +1 -printf '%p/%i\\0' | sort -z | sed -z -E 's,^(.*)/([0-9]+)$,\\2/\\1,')
find './${path}' -type c -exec stat -c '%n %t:%T' {} +
find './${path}' -type f -print0 | sort -z | xargs -0 -r sha256sum
find './${path}' -print0 | sort -z | xargs -0 -r getfattr -h -d -m - -e hex
`;
