export declare const reportPath: string;
export declare function report(): string;
