// Sends personalised messages of 4 kB through nodemailer's pool: node nodemailer_pool.js PORT COUNT
const nodemailer = require("nodemailer");

const [port, count] = process.argv.slice(2).map(Number);
const transport = nodemailer.createTransport({
    host: "127.0.0.1", port, secure: false, ignoreTLS: true,
    pool: true, maxConnections: 10, maxMessages: Infinity,
});
const paragraph = "All that is new this spring, told in a few words for whoever has the time.\n";
const prose = paragraph.repeat(21);

async function main() {
    const sends = [];
    for (let number = 0; number < count; number++) {
        const name = `First${number}`;
        sends.push(transport.sendMail({
            from: "Shop <shop@example.org>",
            to: `${name} Last <person${number}@example.com>`,
            subject: `News for ${name}`,
            headers: { "List-Unsubscribe": `<https://news.example.org/u/${number}>` },
            text: `Dear ${name},\n\n${prose}`,
            html: `<html><body><p>Dear ${name},</p><p>${prose}</p></body></html>`,
        }));
    }
    await Promise.all(sends);
    transport.close();
}

main().catch((error) => { console.error(error); process.exit(1); });
