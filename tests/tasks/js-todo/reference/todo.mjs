import { load, nextId, render, save, stats } from './store.mjs';

function fail(message, status) {
  console.error(`error: ${message}`);
  process.exitCode = status;
}

function main([command, ...args]) {
  const tasks = load();
  if (command === 'add') {
    const text = args.join(' ').trim();
    if (!text) return fail('empty task', 1);
    const id = nextId(tasks);
    save([...tasks, { id, text, done: false }]);
    console.log(`added #${id}: ${text}`);
  } else if (command === 'list') {
    const shown = tasks.filter((task) => !(args[0] === '--open' && task.done));
    shown.sort((a, b) => a.id - b.id);
    console.log(shown.map(render).join('\n') || 'nothing to do');
  } else if (command === 'done' || command === 'remove') {
    const task = tasks.find((candidate) => String(candidate.id) === args[0]);
    if (!task) return fail(`no task #${args[0]}`, 1);
    task.done = true;
    save(command === 'done' ? tasks : tasks.filter((other) => other !== task));
    console.log(`${command === 'done' ? 'done' : 'removed'} #${task.id}`);
  } else if (command === 'clear') {
    const open = tasks.filter((task) => !task.done);
    save(open);
    console.log(`cleared ${tasks.length - open.length}`);
  } else if (command === 'stats') {
    console.log(stats(tasks));
  } else {
    fail(`unknown command: ${command}`, 2);
  }
}

main(process.argv.slice(2));
