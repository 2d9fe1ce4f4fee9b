/* A web server and nothing else, for an image without a shell: says hello on port 80 (or $PORT). */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void end(int sig) { (void)sig; _exit(0); }

int main(void) {
  const char *port = getenv("PORT");
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port ? atoi(port) : 80)};
  int one = 1, door = socket(AF_INET, SOCK_STREAM, 0);
  signal(SIGTERM, end);                     /* the first process of a container has no default for it */
  signal(SIGINT, end);
  signal(SIGPIPE, SIG_IGN);
  setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(door, (struct sockaddr *)&at, sizeof at) || listen(door, 128)) { perror("listen"); return 1; }
  printf("listening on port %d\n", ntohs(at.sin_port));
  fflush(stdout);
  for (;;) {
    char name[256] = "", body[300], request[4096], answer[600];
    int guest = accept(door, NULL, NULL);
    struct timeval limit = {.tv_sec = 2};
    if (guest < 0) continue;
    setsockopt(guest, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (read(guest, request, sizeof request) > 0) {
      gethostname(name, sizeof name - 1);
      snprintf(body, sizeof body, "Hello from %s, which has no shell\n", name);
      int length = snprintf(answer, sizeof answer,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
        strlen(body), body);
      if (write(guest, answer, length) < 0) perror("write");
    }
    close(guest);
  }
}
