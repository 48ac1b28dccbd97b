-- +goose Up
-- The first posts of a new site. They are inserted in one statement, in the same transaction as the version number, so
-- either all of them are stored or none. The story begins with the last post, since a page shows the newest first.
INSERT INTO posts (title, body, created_at) VALUES
('What one server cannot do',
'All of this shares one machine, and its limits are real. If the machine stops, so does the site. If a part must be replaced, visitors may notice. And when more people come than one machine can serve, no setting will make it two.

This project measures each of the three, sees how far one server can be taken, and only then adds more.',
'2026-11-20 09:00:00.000000'),
('MySQL remembers',
'Containers come and go; these sentences stay, because they are rows in a MySQL table. A write is acknowledged only when it is on disk, in the log of the storage engine and in the binary log, so that pulling the plug loses nothing that was promised.

The application signs in with an account that may read and write rows and no more. Changing tables takes another account, which is used before the application starts and not by it.',
'2026-11-20 09:05:00.000000'),
('The application server runs our own code',
'Behind Nginx waits the one part written for this site: a Go program built with Gin and GORM. It reads the question, checks it, fetches what is needed and writes JSON. The list that you are reading is its answer to GET /api/v1/posts.

Its application files are one static binary in an otherwise empty image. There is no shell in it, nothing may be written, and the user it runs as owns nothing.',
'2026-11-20 09:10:00.000000'),
('Nginx answers at the door',
'With an address in hand the browser opens a connection and speaks HTTP, and the one who picks up is Nginx, the web server. Style sheets, scripts and the page itself are files; Nginx sends them from disk without asking anybody.

What begins with /api/ is not a file. Nginx passes it on, keeps a few connections open so that passing on is quick, and gives every request an id, which you find in the header X-Request-ID and in the logs of everybody who touched it.',
'2026-11-20 09:15:00.000000'),
('www is an alias',
'The record named www holds no address. It is a CNAME: it says that this name is another name for the domain itself, and only the domain has an A record with the address.

That keeps the address in one place. When the server moves, one record changes, and every alias follows.',
'2026-11-20 09:20:00.000000'),
('First, a name becomes an address',
'Computers find each other by address; people remember names. So before the browser can ask for anything it asks the DNS where the site is.

The zone of this domain is kept by CoreDNS. It answers with authority, for this domain and for no other, over UDP and over TCP. To the outside, the address that it gives is the one address of the server.',
'2026-11-20 09:25:00.000000'),
('One server, all of it',
'This page came from a single machine. On it run a web server, an application server and a database, and here the name server too, each in a container of its own. Nothing else is needed to answer you.

The posts below follow a request through them in order, starting at the browser. Nothing in them is an illustration: each describes the very part that has just worked for you.',
'2026-11-20 09:30:00.000000');
