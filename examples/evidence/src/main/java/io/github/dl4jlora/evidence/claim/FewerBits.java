package io.github.dl4jlora.evidence.claim;

import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.evidence.Claim;
import io.github.dl4jlora.evidence.Finding.Interval;
import io.github.dl4jlora.evidence.Finding;
import io.github.dl4jlora.evidence.Grid;
import io.github.dl4jlora.evidence.Lab;
import io.github.dl4jlora.evidence.Method;
import io.github.dl4jlora.evidence.Task;
import io.github.dl4jlora.evidence.Trained;
import io.github.dl4jlora.examples.Spread;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** On a base in fewer bits LoRA learns as much as on one in FLOAT: the means differ by no more than seeds do. */
public record FewerBits(List<Setting> settings) implements Claim {

    private static final int RANK = 8;
    /** Deviations over seeds by which means may differ here: trainings that a rounding sets apart scatter as seeds do. */
    private static final double WIDER = 2;

    /**
     * One task.
     *
     * @param rate one rate for all forms of the base
     */
    public record Setting(Task task, double rate, int seeds) {
    }

    /** {@return the setting of a task of digits} */
    public static Setting digits(Task task) {
        return new Setting(task, 2e-3, BestRates.SEEDS);
    }

    /** {@return the setting of Shakespeare} */
    public static Setting shakespeare(Task task) {
        return new Setting(task, 2e-2, BestRates.SEEDS);
    }

    @Override
    public Statement statement() {
        return new Statement("bits",
                "On a base in sixteen bits, eight or four LoRA learns as much as on one in 32",
                new Source("Dettmers et al. 2023, \"QLoRA: Efficient Finetuning of Quantized LLMs\", section 4", "2305.14314"),
                "RoBERTa and T5 from 80 million to 11 billion values, LLaMA from 7 to 65 billion: LoRA on a base in eight bits, "
                        + "and in the four of NF4, ends where it does on a base in BF16.");
    }

    @Override
    public Finding examine(Lab lab) {
        Finding finding = new Finding();
        List<String> header = new ArrayList<>(List.of("task", "rate", "seeds", "FLOAT"));
        for (Quantization scheme : Quantization.values()) {
            header.add(scheme.name());
        }
        List<List<String>> rows = settings.stream().map(setting -> examine(lab, setting, finding)).toList();
        return finding.table(header, rows).text("LoRA of rank " + RANK + ". All forms of a base have the same rate, seeds, "
                + "batches and start of A and B. The claim allows a mean to differ from that on FLOAT by one standard deviation "
                + "over the seeds on FLOAT.");
    }

    private static List<String> examine(Lab lab, Setting setting, Finding finding) {
        Task task = setting.task;
        Method plain = Method.lora(RANK);
        Map<Quantization, Method> quantised = new LinkedHashMap<>();
        for (Quantization scheme : Quantization.values()) {
            quantised.put(scheme, Method.lora("LoRA, base in " + scheme, RANK, lora -> lora.quantize(scheme)));
        }
        List<Method> methods = new ArrayList<>(List.of(plain));
        methods.addAll(quantised.values());
        long[] seeds = lab.seeds(setting.seeds);
        Grid grid = new Grid(lab, task, methods, new double[] {setting.rate}, seeds, task.epochs());
        Spread onFloat = grid.spread(plain, setting.rate, Trained::learned);
        List<String> row = new ArrayList<>(List.of(task.name() + ": " + task.measure(), String.format(Locale.ROOT, "%.1e",
                setting.rate), String.valueOf(seeds.length)));
        methods.forEach(method -> row.add(grid.spread(method, setting.rate, Trained::learned).toString(task.isLoss() ? 3 : 1)));
        quantised.forEach((scheme, method) -> finding.check(task.name() + ": " + scheme + " less FLOAT, " + task.measure(),
                "about 0", grid.spread(method, setting.rate, Trained::learned).mean() - onFloat.mean(),
                within(onFloat.deviation()), within(WIDER * onFloat.deviation())));
        return row;
    }

    private static Interval within(double deviation) {
        return new Interval(-deviation, deviation);
    }
}
