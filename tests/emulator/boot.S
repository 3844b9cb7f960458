/* boot.S — from the first instruction of the machine to kmain, and the ways in and out of ring 0.

   RAM: 0x10000 variables and stack of the shim; 0x100000 page tables; 4 MB .. 0x30000000 the program; 0x30000000 the
   image that run.py made. One gigabyte is mapped one to one. */
    .section .reset, "ax"
    .code16
    ljmpw $0xF000, $(start16 - 0xF0000)
    .balign 16, 0

    .section .boot, "ax"
    .globl start16
start16:
    cli
    cld
    inb $0x92, %al              /* A20 */
    orb $2, %al
    andb $0xFE, %al
    outb %al, $0x92
    movw %cs, %ax
    movw %ax, %ds
    lgdtl (gdtr - 0xF0000)
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $0x38, $start32

    .code32
start32:
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    /* Bochs 2.7 reads an optional RAM image linearly into its own memory, of which it hands out blocks of 128 KiB in
       the order of their first use: so the image's blocks are touched first and in order. */
    movl $0x30000000, %esi
    movl 8(%esi), %ecx          /* image.bytes */
1:  movl (%esi), %eax
    addl $0x20000, %esi
    subl $0x20000, %ecx
    ja 1b
    movl $bss_start, %edi
    movl $bss_end, %ecx
    subl %edi, %ecx
    shrl $2, %ecx
    xorl %eax, %eax
    rep stosl
    /* Page tables: level 4 at 0x100000, 3 at 0x101000, 2 at 0x102000, 1 from 0x110000 on, for ring 0 only. */
    movl $0x100000, %edi
    movl $(0x10000 / 4), %ecx
    rep stosl
    movl $0x101007, 0x100000
    movl $0x102007, 0x101000
    movl $0x102000, %edi
    movl $0x110007, %eax
    movl $512, %ecx
2:  movl %eax, (%edi)
    addl $0x1000, %eax
    addl $8, %edi
    decl %ecx
    jnz 2b
    movl $0x110000, %edi
    movl $0x00000003, %eax
    movl $(512 * 512), %ecx
3:  movl %eax, (%edi)
    movl $0, 4(%edi)
    addl $0x1000, %eax
    addl $8, %edi
    decl %ecx
    jnz 3b
    movl $0x100000, %eax
    movl %eax, %cr3
    movl $0x00050620, %eax      /* PAE, OSFXSR, OSXMMEXCPT, FSGSBASE, OSXSAVE */
    movl %eax, %cr4
    movl $0xC0000080, %ecx      /* EFER: SCE, LME, NXE */
    rdmsr
    orl $0x901, %eax
    wrmsr
    movl $0x80010023, %eax      /* PG, WP, NE, MP, PE */
    movl %eax, %cr0
    ljmpl $0x08, $start64

    .code64
start64:
    movl $stack_top, %esp
    fninit
    movl $0xD, %eax             /* XCR0: x87, SSE, AVX and the three parts of AVX-512, as far as there are any */
    xorl %ecx, %ecx
    cpuid
    andl $0xE7, %eax
    xorl %edx, %edx
    xorl %ecx, %ecx
    xsetbv
    movl $0x1F80, -4(%rsp)
    ldmxcsr -4(%rsp)
    call kmain

    .globl enter_program        /* (entry, stack) */
enter_program:
    movq %rdi, %rcx
    movq %rsi, %rsp
    movl $2, %r11d
    xorl %edx, %edx             /* no function to be called at exit */
    xorl %ebp, %ebp
    sysretq

    .globl syscall_entry        /* do_syscall(arguments 1 to 6, number); the shim uses no vector register */
syscall_entry:
    movq %rsp, program_stack
    movq $stack_top, %rsp
    pushq %rcx
    pushq %r11
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %r10
    pushq %r8
    pushq %r9
    movq %r10, %rcx
    pushq %r9                   /* keeps the stack aligned */
    pushq %rax
    call do_syscall
    addq $16, %rsp
    popq %r9
    popq %r8
    popq %r10
    popq %rdx
    popq %rsi
    popq %rdi
    popq %r11
    popq %rcx
    movq program_stack, %rsp
    sysretq

/* Exceptions: the number is pushed, and an error code where the processor pushes none; do_trap does not return. */
    .altmacro
    .macro TRAP n
trap\n:
    .if (\n == 8) || ((\n >= 10) && (\n <= 14)) || (\n == 17) || (\n == 21)
    .else
    pushq $0
    .endif
    pushq $\n
    jmp trapped
    .endm
    .set i, 0
    .rept 32
    TRAP %i
    .set i, i + 1
    .endr
trapped:
    cld
    movq %rsp, %rdi
    andq $-16, %rsp
    call do_trap

    .section .rodata
    .globl trap_table
    .balign 8
trap_table:
    .macro ENTRY_OF n
    .quad trap\n
    .endm
    .set i, 0
    .rept 32
    ENTRY_OF %i
    .set i, i + 1
    .endr
    .globl first_gdt
    .balign 8
first_gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF    /* 08: shim, 64-bit code */
    .quad 0x00CF93000000FFFF    /* 10: shim, data */
    .quad 0x00CFFB000000FFFF    /* 18: program, 32-bit code: sysret counts from here */
    .quad 0x00CFF3000000FFFF    /* 20: program, data */
    .quad 0x00AFFB000000FFFF    /* 28: program, 64-bit code */
    .quad 0                     /* 30: task state, in the copy in RAM */
    .quad 0x00CF9B000000FFFF    /* 38: 32-bit code of the way up */
gdtr: .word 0x3F
    .long first_gdt

    .section .bss
    .balign 16
program_stack: .quad 0, 0
    .skip 32768
    .globl stack_top
stack_top:

    .section .note.GNU-stack, "", @progbits
