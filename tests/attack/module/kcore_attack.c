// SPDX-License-Identifier: GPL-2.0-only
/*
 * A host kernel that turned against its guests: raw SMC, any physical address, by load,
 * store and fetch. Each access is guarded, so that a refusal is an error and not an oops.
 */
#include <linux/arm-smccc.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/irq_work.h>
#include <linux/kdebug.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pgtable.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include <asm/sysreg.h>
#include <asm/tlbflush.h>

#include "kcore_attack.h"

/* The task that is inside the code of KAT_EXEC, and what became of it. */
static DEFINE_MUTEX(exec_lock);
static struct task_struct *exec_task;
static bool exec_refused;

static void kat_nothing(struct irq_work *work)
{
}

static DEFINE_IRQ_WORK(kat_pending, kat_nothing);

static long kat_smc(void __user *arg)
{
	struct kat_smc call;
	struct arm_smccc_1_2_regs in, out;
	unsigned long flags = 0;

	if (copy_from_user(&call, arg, sizeof(call)))
		return -EFAULT;
	memcpy(&in, call.x, sizeof(in));
	if (call.interrupt) {
		local_irq_save(flags);
		irq_work_queue(&kat_pending);
	}
	arm_smccc_1_2_smc(&in, &out);
	if (call.interrupt)
		local_irq_restore(flags);
	memcpy(call.x, &out, sizeof(out));
	return copy_to_user(arg, &call, sizeof(call)) ? -EFAULT : 0;
}

static long kat_alloc(void __user *arg)
{
	struct kat_pages p;
	struct page *page;

	if (copy_from_user(&p, arg, sizeof(p)))
		return -EFAULT;
	if (p.order > 9)
		return -EINVAL;
	page = alloc_pages(GFP_KERNEL | __GFP_ZERO, p.order);
	if (!page)
		return -ENOMEM;
	p.pa = page_to_phys(page);
	return copy_to_user(arg, &p, sizeof(p)) ? -EFAULT : 0;
}

static long kat_free(void __user *arg)
{
	struct kat_pages p;

	if (copy_from_user(&p, arg, sizeof(p)))
		return -EFAULT;
	if (p.order > 9 || !pfn_valid(PHYS_PFN(p.pa)))
		return -EINVAL;
	__free_pages(phys_to_page(p.pa), p.order);
	return 0;
}

static void *kat_map(u64 pa, u32 len, u32 how)
{
	if (how == KAT_LINEAR)
		return pfn_valid(PHYS_PFN(pa)) ? phys_to_virt(pa) : NULL;
	if (how == KAT_CACHED)
		return memremap(pa, len, MEMREMAP_WB);
	return (void __force *)ioremap(pa, len);
}

static void kat_unmap(void *va, u32 how)
{
	if (how == KAT_CACHED)
		memunmap(va);
	else if (how == KAT_DEVICE)
		iounmap((void __iomem __force *)va);
}

/* copy_to_kernel_nofault() is not for modules. One access if len is 1, 2, 4 or 8 and aligned. */
static long kat_store(void *to, const void *from, u32 len)
{
	unsigned long align = (unsigned long)to | len;
	long err = 0;

	pagefault_disable();
	while (len) {
		u32 size = (align & 7) == 0 ? 8 : (align & 3) == 0 ? 4 : (align & 1) == 0 ? 2 : 1;

		if (size == 8)
			__put_kernel_nofault(to, from, u64, fault);
		else if (size == 4)
			__put_kernel_nofault(to, from, u32, fault);
		else if (size == 2)
			__put_kernel_nofault(to, from, u16, fault);
		else
			__put_kernel_nofault(to, from, u8, fault);
		to += size;
		from += size;
		len -= size;
	}
	goto out;
fault:
	err = -EFAULT;
out:
	pagefault_enable();
	return err;
}

static long kat_mem(void __user *arg)
{
	struct kat_mem m;
	u8 *buf;
	void *va;
	long err;

	if (copy_from_user(&m, arg, sizeof(m)))
		return -EFAULT;
	if (m.len == 0 || m.len > PAGE_SIZE || m.how > KAT_DEVICE)
		return -EINVAL;
	buf = kzalloc(m.len, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	va = kat_map(m.pa, m.len, m.how);
	if (!va) {
		err = -ENXIO;
		goto out;
	}
	if (m.write) {
		err = copy_from_user(buf, u64_to_user_ptr(m.buf), m.len) ? -EINVAL : 0;
		if (!err)
			err = kat_store(va, buf, m.len);
	} else {
		err = copy_from_kernel_nofault(buf, va, m.len);
		if (!err && copy_to_user(u64_to_user_ptr(m.buf), buf, m.len))
			err = -EINVAL;
	}
	kat_unmap(va, m.how);
out:
	kfree(buf);
	return err;
}

/*
 * A fetch has no exception table entry. The abort ends in die(), which asks its notifiers first:
 * return to the caller of the page, and tell die() that it is settled.
 */
static int kat_die(struct notifier_block *nb, unsigned long event, void *data)
{
	struct die_args *die = data;

	if (event != DIE_OOPS || READ_ONCE(exec_task) != current)
		return NOTIFY_DONE;
	die->regs->pc = die->regs->regs[30];
	exec_refused = true;
	return NOTIFY_STOP;
}

static struct notifier_block kat_die_block = {
	.notifier_call = kat_die,
	.priority = INT_MAX,
};

/* vmap() never gives execute permission, so take it. */
static void kat_make_executable(unsigned long va)
{
	u64 ttbr = read_sysreg(ttbr1_el1) & GENMASK_ULL(47, 12);
	pgd_t *pgd = pgd_offset_pgd((pgd_t *)phys_to_virt(ttbr), va);
	pte_t *pte = pte_offset_kernel(pmd_offset(pud_offset(p4d_offset(pgd, va), va), va), va);

	WRITE_ONCE(*pte, __pte(pte_val(*pte) & ~PTE_PXN));
	flush_tlb_kernel_range(va, va + PAGE_SIZE);
}

static long kat_exec(void __user *arg)
{
	struct kat_exec e;
	struct page *page;
	void *va;
	long err;

	if (copy_from_user(&e, arg, sizeof(e)))
		return -EFAULT;
	if (!pfn_valid(PHYS_PFN(e.pa)))
		return -ENXIO;
	page = phys_to_page(e.pa);
	va = vmap(&page, 1, VM_MAP, PAGE_KERNEL_RO);
	if (!va)
		return -ENOMEM;
	kat_make_executable((unsigned long)va);
	mutex_lock(&exec_lock);
	exec_refused = false;
	WRITE_ONCE(exec_task, current);
	e.result = ((u64 (*)(void))(va + offset_in_page(e.pa)))();
	WRITE_ONCE(exec_task, NULL);
	err = exec_refused ? -EFAULT : 0;
	mutex_unlock(&exec_lock);
	vunmap(va);
	if (!err && copy_to_user(arg, &e, sizeof(e)))
		err = -EINVAL;
	return err;
}

static long kat_call(void __user *arg)
{
	struct kat_call c;

	if (copy_from_user(&c, arg, sizeof(c)))
		return -EFAULT;
	c.result = ((u64 (*)(u64, u64))c.function)(c.x[0], c.x[1]);
	return copy_to_user(arg, &c, sizeof(c)) ? -EFAULT : 0;
}

static long kat_ioctl(struct file *file, unsigned int cmd, unsigned long value)
{
	void __user *arg = (void __user *)value;

	switch (cmd) {
	case KAT_SMC:
		return kat_smc(arg);
	case KAT_ALLOC:
		return kat_alloc(arg);
	case KAT_FREE:
		return kat_free(arg);
	case KAT_MEM:
		return kat_mem(arg);
	case KAT_EXEC:
		return kat_exec(arg);
	case KAT_CALL:
		return kat_call(arg);
	}
	return -ENOTTY;
}

static int kat_mmap(struct file *file, struct vm_area_struct *vma)
{
	return remap_pfn_range(vma, vma->vm_start, vma->vm_pgoff,
			       vma->vm_end - vma->vm_start, vma->vm_page_prot);
}

static const struct file_operations kat_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = kat_ioctl,
	.mmap = kat_mmap,
};

static struct miscdevice kat_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kcore-attack",
	.fops = &kat_fops,
};

static int __init kat_init(void)
{
	int err = register_die_notifier(&kat_die_block);

	return err ? err : misc_register(&kat_device);
}

static void __exit kat_exit(void)
{
	misc_deregister(&kat_device);
	irq_work_sync(&kat_pending);
	unregister_die_notifier(&kat_die_block);
}

module_init(kat_init);
module_exit(kat_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Attacks on KCore, for its tests");
