<?php
// A guestbook in a file. Its folder is a volume when it should outlive a deploy (README.md).
$book = __DIR__ . '/data/book.txt';
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $line = trim(strtr(mb_substr($_POST['text'] ?? '', 0, 200), "\r\n", '  '));
    if ($line !== '') {
        file_put_contents($book, $line . "\n", FILE_APPEND | LOCK_EX);
    }
    header('Location: /', true, 303);
    exit;
}
$lines = is_file($book) ? file($book, FILE_IGNORE_NEW_LINES) : [];
?>
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Guestbook</title>
<h1>Hello from PHP</h1>
<form method="post"><input name="text" maxlength="200" autofocus> <button>Write</button></form>
<ul>
<?php foreach (array_reverse($lines) as $line): ?>
  <li><?= htmlspecialchars($line) ?></li>
<?php endforeach ?>
</ul>
