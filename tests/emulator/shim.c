/* shim.c — loads one static x86-64 Linux program into a bare machine and serves its system calls.

   The program's memory is [BOTTOM, TOP), mapped one to one; a page is mapped if its entry has the bit USED. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned u32;
typedef unsigned long u64;

#define PAGE 4096UL
#define BOTTOM 0x400000UL
#define TOP 0x30000000UL
#define STACK_BYTES (16UL << 20)
#define BRK_BYTES (64UL << 20)

/* What run.py puts at TOP; the offsets count from there. */
struct image {
    u64 magic, bytes, elf, argument_count, arguments;
};
#define IMAGE ((const struct image *)TOP)
#define MAGIC 0x434f4e5646415354UL

/* The machine */
extern const u64 trap_table[32], first_gdt[8];
extern char syscall_entry[], stack_top[];
void enter_program(u64 entry, u64 stack);

static void outb(u16 port, u8 value) { __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
static void wrmsr(u32 msr, u64 value)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)value), "d"((u32)(value >> 32)));
}

void *memset(void *to, int value, u64 n)
{
    void *at = to;
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(n) : "a"(value) : "memory");
    return to;
}

void *memcpy(void *to, const void *from, u64 n)
{
    void *at = to;
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(n)::"memory");
    return to;
}

/* Output: the parallel port, a strobe for each byte. */
static void print_run(const char *text, u64 n)
{
    while (n-- > 0) outb(0x378, (u8)*text++), outb(0x37A, 0x0D), outb(0x37A, 0x0C);
}

static void print(const char *text)
{
    while (*text != 0) print_run(text++, 1);
}

static void print_number(const char *before, u64 value, u64 base)
{
    char digits[24], *first = digits + 23;
    *first = 0;
    do *--first = "0123456789abcdef"[value % base];
    while ((value /= base) != 0);
    print(before), print(first);
}

/* run.py waits for this line. */
static void __attribute__((noreturn)) quit(u64 status)
{
    print_number("\n\004status ", status & 255, 10), print("\n");
    for (;;) __asm__ volatile("hlt");
}

void do_trap(const u64 frame[7]) /* number, error code, rip, cs, flags, rsp, ss */
{
    u64 address;
    __asm__ volatile("mov %%cr2, %0" : "=r"(address));
    print_number("\nexception ", frame[0], 10), print_number(", error ", frame[1], 16);
    print_number(", rip ", frame[2], 16), print_number(", address ", address, 16);
    quit(128 + frame[0]);
}

/* Memory */
#define ENTRY(a) ((volatile u64 *)0x110000)[(a) / PAGE]
#define PRESENT_USER 5UL
#define WRITABLE 2UL
#define NO_EXECUTE (1UL << 63)
#define USED 0x200UL
enum { READ = 1, WRITE = 2, EXECUTE = 4 }; /* as in mmap's prot */

static u64 round_up(u64 n) { return (n + PAGE - 1) & ~(PAGE - 1); }

static void map(u64 address, u64 bytes, u64 protection)
{
    for (u64 a = address & ~(PAGE - 1); a < address + bytes; a += PAGE) {
        ENTRY(a) = a | USED | (protection != 0 ? PRESENT_USER : 0) | (protection & WRITE ? WRITABLE : 0) |
                   (protection & EXECUTE ? 0 : NO_EXECUTE);
        __asm__ volatile("invlpg (%0)" ::"r"(a) : "memory");
    }
}

static void map_zeros(u64 address, u64 bytes, u64 protection)
{
    map(address, bytes, READ | WRITE);
    const u64 begin = address & ~(PAGE - 1);
    memset((void *)begin, 0, round_up(address + bytes) - begin);
    map(address, bytes, protection);
}

static void unmap(u64 address, u64 bytes)
{
    for (u64 a = address; a < address + bytes; a += PAGE) {
        ENTRY(a) = a;
        __asm__ volatile("invlpg (%0)" ::"r"(a) : "memory");
    }
}

static u64 brk_begin, brk_end;

/* The highest free run of pages between the heap of brk and the stack; 0: none. */
static u64 find_free(u64 bytes)
{
    u64 run = 0;
    for (u64 a = TOP - STACK_BYTES - PAGE; a > brk_begin + BRK_BYTES;) {
        a -= PAGE;
        run = ENTRY(a) & USED ? 0 : run + PAGE;
        if (run >= bytes) return a;
    }
    return 0;
}

/* System calls: numbers and errors of Linux. */
#define EBADF 9
#define ENOMEM 12
#define EINVAL 22
#define ENOSYS 38

static int outside(u64 address, u64 bytes)
{
    return address % PAGE != 0 || address < BOTTOM || address >= TOP || bytes > TOP - address;
}

static long do_mmap(u64 bytes, u64 protection, u64 flags)
{
    const u64 fixed = 0x10, anonymous = 0x20;
    bytes = round_up(bytes);
    if (bytes == 0 || bytes > TOP || flags & fixed || !(flags & anonymous)) return -EINVAL;
    const u64 address = find_free(bytes);
    if (address == 0) return -ENOMEM;
    map_zeros(address, bytes, protection);
    return (long)address;
}

static long do_brk(u64 end)
{
    if (end < brk_begin || end > brk_begin + BRK_BYTES) return (long)brk_end;
    const u64 before = round_up(brk_end), after = round_up(end);
    if (after > before) map_zeros(before, after - before, READ | WRITE);
    if (after < before) unmap(after, before - after);
    return (long)(brk_end = end);
}

static long do_arch_prctl(u64 code, u64 address)
{
    if (code != 0x1002) return -EINVAL;
    wrmsr(0xC0000100, address); /* FS */
    return 0;
}

/* The only file is what it asks about its output: a character device. */
static long do_fstat(u64 file, u8 *status)
{
    if (file > 2) return -EBADF;
    memset(status, 0, 144);
    *(u32 *)(status + 24) = 0020620;
    return 0;
}

long do_syscall(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f, u64 number)
{
    (void)e, (void)f;
    switch (number) {
    case 1: /* write */
        if (a != 1 && a != 2) return -EBADF;
        print_run((const char *)b, c);
        return (long)c;
    case 5: return do_fstat(a, (u8 *)b);
    case 262: return do_fstat(a, (u8 *)c);
    case 9: return do_mmap(b, c, d);
    case 10: /* mprotect */
        if (outside(a, b)) return -EINVAL;
        map(a, b, c);
        return 0;
    case 11: /* munmap */
        if (outside(a, b)) return -EINVAL;
        unmap(a, round_up(b));
        return 0;
    case 12: return do_brk(a);
    case 158: return do_arch_prctl(a, b);
    case 60:
    case 231: quit(a); /* exit, exit_group */
    case 234: print_number("\nsignal ", c, 10); /* tgkill: abort() */
        quit(128 + c);
    case 13:  /* sigaction */
    case 14:  /* sigprocmask */
    case 28:  /* madvise */
    case 273: /* set_robust_list */
        return 0;
    case 39:  /* getpid */
    case 186: /* gettid */
    case 218: /* set_tid_address */
        return 1;
    case 318: /* getrandom: the same at every run */
        memset((void *)a, 4, b);
        return (long)b;
    case 16:  /* ioctl */
    case 89:  /* readlink */
    case 204: /* sched_getaffinity */
    case 257: /* openat */
    case 302: /* prlimit64 */
    case 334: /* rseq */
        return -ENOSYS;
    default:
        print_number("\nsystem call ", number, 10), print(" is not served\n");
        return -ENOSYS;
    }
}

/* The program */
struct segment {
    u32 type, flags;
    u64 offset, address, physical, file_bytes, memory_bytes, alignment;
};

static u64 load(const u8 *elf, u64 *headers, u64 *header_count)
{
    const struct segment *s = (const void *)(elf + *(const u64 *)(elf + 32));
    const u64 count = *(const u16 *)(elf + 56);
    if (*(const u32 *)elf != 0x464c457f || *(const u16 *)(elf + 16) != 2 || *(const u16 *)(elf + 18) != 62) {
        print("not a static x86-64 program at a fixed address\n");
        quit(126);
    }
    for (u64 i = 0; i < count; ++i) {
        if (s[i].type != 1) continue;
        map_zeros(s[i].address, s[i].memory_bytes, READ | WRITE);
        memcpy((void *)s[i].address, elf + s[i].offset, s[i].file_bytes);
        map(s[i].address, s[i].memory_bytes, (s[i].flags & 4 ? READ : 0) | (s[i].flags & 2) | (s[i].flags & 1 ? EXECUTE : 0));
        const u64 end = round_up(s[i].address + s[i].memory_bytes);
        if (end > brk_begin) brk_begin = brk_end = end;
        if (s[i].offset == 0) *headers = s[i].address + *(const u64 *)(elf + 32);
    }
    *header_count = count;
    return *(const u64 *)(elf + 24);
}

/* The stack as Linux leaves it: argc, argv, an empty environment, the auxiliary vector. */
static u64 make_stack(u64 entry, u64 headers, u64 header_count)
{
    const char *text = (const char *)TOP + IMAGE->arguments;
    const u64 random = TOP - 2 * PAGE, count = IMAGE->argument_count;
    map_zeros(TOP - STACK_BYTES, STACK_BYTES - PAGE, READ | WRITE);
    u64 strings = random - PAGE;
    memcpy((void *)strings, text, PAGE / 2);
    const u64 auxiliary[] = {3, headers, 4, sizeof(struct segment), 5, header_count, 6, PAGE, 9, entry, 25, random, 0, 0};
    const u64 words = 1 + count + 1 + 1 + sizeof auxiliary / 8;
    u64 *stack = (u64 *)((strings - words * 8) & ~15UL), *at = stack;
    *at++ = count;
    for (u64 i = 0; i < count; ++i) {
        *at++ = strings;
        while (*(const char *)strings++ != 0) {}
    }
    *at++ = 0, *at++ = 0;
    memcpy(at, auxiliary, sizeof auxiliary);
    return (u64)stack;
}

/* Descriptors: the ROM's segments and a task state, whose only use is the stack for exceptions; 32 gates. */
static u64 gdt[9], idt[64];
static struct __attribute__((packed)) {
    u32 reserved;
    u64 stack[3], rest[9];
    u32 io_map;
} task_state;

static void set_descriptors(void)
{
    struct __attribute__((packed)) {
        u16 limit;
        u64 base;
    } gdtr = {sizeof gdt - 1, (u64)gdt}, idtr = {sizeof idt - 1, (u64)idt};
    const u64 task = (u64)&task_state;
    memcpy(gdt, first_gdt, sizeof first_gdt);
    gdt[6] = (sizeof task_state - 1) | (task & 0xFFFFFF) << 16 | 0x89UL << 40 | (task >> 24 & 0xFF) << 56;
    gdt[7] = task >> 32;
    task_state.stack[0] = (u64)stack_top;
    task_state.io_map = sizeof task_state << 16;
    for (int i = 0; i < 32; ++i) {
        const u64 handler = trap_table[i];
        idt[2 * i] = (handler & 0xFFFF) | 0x08UL << 16 | 0x8E00UL << 32 | (handler >> 16 & 0xFFFF) << 48;
        idt[2 * i + 1] = handler >> 32;
    }
    __asm__ volatile("lgdt %0; ltr %w1; lidt %2" ::"m"(gdtr), "r"(0x30), "m"(idtr));
    wrmsr(0xC0000081, 0x18UL << 48 | 0x08UL << 32); /* STAR: segments of sysret and syscall */
    wrmsr(0xC0000082, (u64)syscall_entry);          /* LSTAR */
    wrmsr(0xC0000084, 0x47700);                     /* flags that syscall clears */
}

void kmain(void)
{
    set_descriptors();
    if (IMAGE->magic != MAGIC) {
        print("the image is not where it should be\n");
        quit(125);
    }
    unmap(BOTTOM, TOP - BOTTOM);
    u64 headers = 0, header_count = 0;
    const u64 entry = load((const u8 *)TOP + IMAGE->elf, &headers, &header_count);
    enter_program(entry, make_stack(entry, headers, header_count));
}
