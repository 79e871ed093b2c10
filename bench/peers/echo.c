/*
 * The floor: a batched UDP loop that sets QR and sends every datagram back. No DNS work at all.
 * Usage: echo PORT. Listens on 127.0.0.1 until it is killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BATCH = 64, OCTETS = 2048 };

static char packets[BATCH][OCTETS];
static struct sockaddr_in peers[BATCH];
static struct iovec parts[BATCH];
static struct mmsghdr headers[BATCH];

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  int fd = socket(AF_INET, SOCK_DGRAM, 0), octets = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &octets, sizeof octets);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &octets, sizeof octets);
  struct sockaddr_in self = {.sin_family = AF_INET,
                             .sin_port = htons((unsigned short)atoi(argv[1])),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(fd, (struct sockaddr *)&self, sizeof self) != 0) return 1;
  memset(headers, 0, sizeof headers);
  for (int i = 0; i < BATCH; i++) {
    parts[i].iov_base = packets[i];
    headers[i].msg_hdr.msg_iov = &parts[i];
    headers[i].msg_hdr.msg_iovlen = 1;
    headers[i].msg_hdr.msg_name = &peers[i];
  }
  for (;;) {
    for (int i = 0; i < BATCH; i++) {
      parts[i].iov_len = OCTETS;
      headers[i].msg_hdr.msg_namelen = sizeof peers[i];
    }
    int received = recvmmsg(fd, headers, BATCH, MSG_WAITFORONE, 0);
    if (received <= 0) continue;
    for (int i = 0; i < received; i++) {
      packets[i][2] |= (char)0x80;
      parts[i].iov_len = headers[i].msg_len;
    }
    for (int sent = 0; sent < received;) {
      int n = sendmmsg(fd, headers + sent, received - sent, 0);
      if (n <= 0) break;
      sent += n;
    }
  }
}
